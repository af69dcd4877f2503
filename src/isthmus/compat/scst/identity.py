"""The names that SCST gives a device, so that a disk that comes from there stays the same disk to its initiators."""

from collections.abc import Iterator, Mapping
from typing import Final

from crc32c import crc32c

from isthmus.compat.scst.pass_through import KIND
from isthmus.config.model import Backstore
from isthmus.config.settings import Value
from isthmus.server.unit_settings import identity_of

__all__ = ["EUI64_DIGITS", "GIVEN", "attributes_of", "explicit", "given_by", "serial_of"]

GIVEN: Final = ("t10_vend_id", "prod_id", "prod_rev_lvl", "t10_dev_id", "vend_specific_id", "naa_id", "eui64_id")
"""The attributes of a device that name it, beside its serial number (usn)."""
EUI64_DIGITS: Final = 16
_VENDORS: Final = {"block": "SCST_BIO"}
_VENDOR: Final = "SCST_FIO"
_VENDOR_LENGTH: Final = 8
_PRODUCT_LENGTH: Final = 16
_T10_LENGTH: Final = 25


def serial_of(name: str, setup_id: int) -> str:
    """The serial number that SCST makes up for a device."""
    # CRC32C of the name and its NUL, without the customary inversions.
    raw = ~crc32c(name.encode("utf-8", "surrogateescape") + b"\0", 0xFFFF_FFFF) & 0xFFFF_FFFF
    return f"{setup_id << 32 | raw:x}"


def attributes_of(kind: str, name: str, setup_id: int, given: Mapping[str, str]) -> dict[str, Value]:
    """The attributes of a backstore that make it the disk that SCST shows; `given` are those of `GIVEN` in the file.

    A device without an NAA or EUI-64 name has the first eight characters of its t10_dev_id for an EUI-64.
    """
    vendor = given.get("t10_vend_id", _VENDORS.get(kind, _VENDOR))
    made_up = _made_up(name, setup_id)
    found: dict[str, Value] = {
        "vendor_id": vendor,
        "t10_id": f"{vendor:{_VENDOR_LENGTH}}{given.get('vend_specific_id', made_up)}",
        "report_naa_id": int("naa_id" in given),
    }
    product = given.get("prod_id", _printable(name))
    if product != _printable(name)[:_PRODUCT_LENGTH]:
        found["product_id"] = product[:_PRODUCT_LENGTH]
    if "prod_rev_lvl" in given:
        found["revision"] = given["prod_rev_lvl"]
    if "naa_id" in given:
        found["naa_id"] = given["naa_id"]
    if "eui64_id" in given:
        found["eui64_id"] = given["eui64_id"]
    elif "naa_id" not in given:
        found["eui64_id"] = _first_bytes(given.get("t10_dev_id", made_up))
    return found


def given_by(store: Backstore, name: str) -> Iterator[tuple[str, str]]:
    """What of `GIVEN` a file has to say, so that SCST shows the disk as it is shown here, as far as SCST can."""
    identity = identity_of(store)
    usual = attributes_of(store.key.kind, name, 0, {})
    made_up = _made_up(name, 0)
    if identity.vendor != usual["vendor_id"]:
        yield "t10_vend_id", identity.vendor
    if identity.product != usual.get("product_id", _printable(name)[:_PRODUCT_LENGTH]):
        yield "prod_id", identity.product
    if store.attributes.get("revision"):
        yield "prod_rev_lvl", identity.revision
    designator = identity.t10_vendor_designator.decode("ascii")
    if designator[_VENDOR_LENGTH:] != made_up:
        yield "vend_specific_id", designator[_VENDOR_LENGTH:]
    if identity.tells_naa:
        yield "naa_id", identity.naa_designator.hex()
    eui64 = identity.eui64_designator
    if eui64 is not None and (identity.tells_naa or eui64.hex() != usual["eui64_id"]):
        yield "eui64_id", eui64.hex()


def explicit(store: Backstore) -> dict[str, Value]:
    """The attributes of `store`, every name written out: two disks that look alike have the same."""
    if store.key.kind == KIND:
        return dict(store.attributes)
    identity = identity_of(store)
    eui64 = identity.eui64_designator
    return {
        **store.attributes,
        "emulate_model_alias": 1,
        "vendor_id": identity.vendor,
        "product_id": identity.product,
        "revision": identity.revision,
        "product_serial": "",
        "t10_id": identity.t10_vendor_designator.decode("ascii"),
        "naa_id": identity.naa_designator.hex() if identity.tells_naa else "",
        "eui64_id": "" if eui64 is None else eui64.hex(),
    }


def _made_up(name: str, setup_id: int) -> str:
    return f"{serial_of(name, setup_id)}-{_printable(name)}"[:_T10_LENGTH]


def _printable(text: str) -> str:
    return "".join(character for character in text if " " <= character <= "~")


def _first_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape")[:8].ljust(8, b"\0").hex()
