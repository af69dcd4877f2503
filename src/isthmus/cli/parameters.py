"""The values that options take, read from the text of the command line: every refusal names what would be right."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from typing_extensions import override

from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError
from isthmus.iscsi.opcodes import ISCSI_PORT
from isthmus.names import IscsiName
from isthmus.server.options import DigestMethod, Portal
from isthmus.sizes import parse_size

__all__ = [
    "ATTRIBUTE",
    "DIGESTS",
    "ISCSI_NAME",
    "PORTAL",
    "SIZE",
    "ParsedType",
    "parse_attribute",
    "parse_digests",
    "parse_portal",
]

T = TypeVar("T")


class ParsedType(click.ParamType[T]):
    """A parameter that one function reads; its `ConfigurationError` becomes the option's."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        try:
            return self._parse(str(value))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


def parse_portal(text: str) -> Portal:
    """`ADDR`, `ADDR:PORT`, `[ADDR6]` or `[ADDR6]:PORT`; raises `ConfigurationError`."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError(f"{text!r} is not a portal", "write an IPv6 portal as [ADDRESS]:PORT")
        return Portal(address, _parse_port(rest[1:]) if rest else ISCSI_PORT)
    address, colon, port = text.partition(":")
    if ":" in port:
        raise ConfigurationError(f"{text!r} is ambiguous", f"put an IPv6 address in brackets, as in [{text}]")
    return Portal(address, _parse_port(port) if colon else ISCSI_PORT)


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{text!r} is not a TCP port", "use 1 to 65535, or 0 for any free one")
    return int(text)


_DIGESTS: Final = {method.value.lower(): method for method in DigestMethod}


def parse_digests(text: str) -> tuple[DigestMethod, ...]:
    """Digest methods with commas between them, the preferred first; raises `ConfigurationError`."""
    names = [name.strip().lower() for name in text.split(",")]
    if any(name not in _DIGESTS for name in names) or len(set(names)) < len(names):
        raise ConfigurationError(f"{text!r} is not a list of digests", "use None, CRC32C, or both with a comma")
    return tuple(_DIGESTS[name] for name in names)


_ATTRIBUTES_WITH_AN_OPTION: Final = {"block_size": "--block-size", "device_type": "--cdrom", "encrypt": "--encrypt"}


def parse_attribute(text: str) -> tuple[str, Value]:
    """`NAME=VALUE`, an attribute of a disk; raises `ConfigurationError`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{text!r} sets nothing", "write NAME=VALUE, like emulate_caw=0")
    if name in _ATTRIBUTES_WITH_AN_OPTION:
        raise ConfigurationError(f"{name} is not an attribute here", f"use {_ATTRIBUTES_WITH_AN_OPTION[name]}")
    return name, BACKSTORE_ATTRIBUTES.parse(name, value)


ATTRIBUTE: Final = ParsedType("attribute", parse_attribute)
SIZE: Final = ParsedType("size", parse_size)
PORTAL: Final = ParsedType("portal", parse_portal)
ISCSI_NAME: Final = ParsedType("iqn", IscsiName)
DIGESTS: Final = ParsedType("digests", parse_digests)
