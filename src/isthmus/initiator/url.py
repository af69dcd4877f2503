"""iSCSI URLs, in the form that libiscsi and QEMU read.

iscsi://[USER[%SECRET]@]HOST[:PORT]/TARGET/LUN[?OPTION=VALUE&…]
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import InvalidUrl
from isthmus.iscsi.opcodes import ISCSI_PORT
from isthmus.names import IscsiName
from isthmus.scsi.lun import MAX_LUN

__all__ = ["URL_FORM", "IscsiUrl", "parse_portal", "parse_url"]

URL_FORM: Final = "iscsi://[USER@]HOST[:PORT]/TARGET/LUN"
_SCHEME: Final = "iscsi://"
_DIGESTS: Final = {"none": False, "crc32c": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class IscsiUrl:
    """What a URL says. What it leaves out is None: the caller's options or defaults decide."""

    host: str
    port: int = ISCSI_PORT
    target: str | None = None
    lun: int | None = None
    user: str | None = None
    secret: str | None = field(default=None, repr=False)
    mutual_user: str | None = None
    mutual_secret: str | None = field(default=None, repr=False)
    header_digest: bool | None = None
    data_digest: bool | None = None

    @property
    def portal(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def holds_secret(self) -> bool:
        """Whether a secret stands in the text itself, where every user of the machine may see it."""
        return self.secret is not None or self.mutual_secret is not None


def parse_url(text: str) -> IscsiUrl:
    """Read a URL; target and LUN may be absent (a portal to discover). Raises `InvalidUrl`."""
    if not text.startswith(_SCHEME):
        raise InvalidUrl(f"an iSCSI URL begins with {_SCHEME} and looks like {URL_FORM}")
    rest, _, query = text.removeprefix(_SCHEME).partition("?")
    # The first @ ends the user wherever it stands: neither an address nor a target name can hold one.
    before, at, after = rest.partition("@")
    user, secret = _parse_user(before) if at else (None, None)
    portal, _, path = (after if at else rest).partition("/")
    host, port = parse_portal(portal)
    target, lun = _parse_path(path)
    options = _parse_options(query)
    return IscsiUrl(
        host=host,
        port=port,
        target=target,
        lun=lun,
        user=user,
        secret=secret,
        mutual_user=options.get("target_user"),
        mutual_secret=options.get("target_password"),
        header_digest=_parse_digest(options, "header_digest"),
        data_digest=_parse_digest(options, "data_digest"),
    )


def _parse_user(text: str) -> tuple[str, str | None]:
    """USER, USER%SECRET or USER:SECRET; the percent sign is looked for first, as libiscsi does."""
    separator = "%" if "%" in text else ":"
    user, found, secret = text.partition(separator)
    if not user:
        raise InvalidUrl("the URL has an @ but no user before it")
    return user, secret if found else None


def parse_portal(text: str) -> tuple[str, int]:
    """HOST[:PORT], an IPv6 address in brackets. Raises `InvalidUrl`."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise InvalidUrl(f"{text!r}: an IPv6 address stands in brackets, like [::1]:{ISCSI_PORT}")
        port_text = rest[1:]
    else:
        host, _, port_text = text.partition(":")
        if ":" in port_text:
            raise InvalidUrl(f"{text!r}: put an IPv6 address in brackets, like [::1]:{ISCSI_PORT}")
    if not host:
        raise InvalidUrl(f"the URL names no host; it looks like {URL_FORM}")
    return host, _parse_port(port_text)


def _parse_port(text: str) -> int:
    if not text:
        return ISCSI_PORT
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 0xFFFF):
        raise InvalidUrl(f"the port is a number from 1 to 65535, not {text!r}")
    return int(text)


def _parse_path(path: str) -> tuple[str | None, int | None]:
    target_text, _, lun_text = path.partition("/")
    if not target_text:
        if lun_text:
            raise InvalidUrl(f"the URL names a LUN but no target; it looks like {URL_FORM}")
        return None, None
    try:
        target = IscsiName(unquote(target_text))
    except ConfigurationError as error:
        raise InvalidUrl(str(error)) from error
    return target, _parse_lun(lun_text) if lun_text else None


def _parse_lun(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_LUN):
        raise InvalidUrl(f"the LUN is a number from 0 to {MAX_LUN}, not {text!r}")
    return int(text)


def _parse_options(query: str) -> dict[str, str]:
    options = {}
    for option in filter(None, query.split("&")):
        key, _, value = option.partition("=")
        if key not in ("header_digest", "data_digest", "target_user", "target_password"):
            raise InvalidUrl(f"the URL option {key!r} is not known here")
        options[key] = value
    return options


def _parse_digest(options: dict[str, str], key: str) -> bool | None:
    value = options.get(key)
    if value is None:
        return None
    if value not in _DIGESTS:
        raise InvalidUrl(f"{key} is none or crc32c, not {value!r}")
    return _DIGESTS[value]
