"""The text of login and text PDUs: `key=value` pairs, each ended by a null byte, and the forms of a value (RFC 7143 §6.1).

Text is what strangers send first, so everything here has a budget, and whatever is wrong with it is a `TextViolation`.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from typing_extensions import Buffer

from isthmus.errors import RemoteProtocolError

__all__ = [
    "MAX_KEYS",
    "MAX_TEXT_BYTES",
    "Pair",
    "TextAssembler",
    "TextViolation",
    "encode_base64",
    "encode_boolean",
    "encode_hex",
    "encode_text",
    "parse_binary",
    "parse_boolean",
    "parse_list",
    "parse_numeric",
    "parse_text",
    "split_text",
]

MAX_TEXT_BYTES: Final = 65_536
"""Bytes of text that one side may send in one negotiation: a login, or one text exchange.

RFC 7143 §6.1 asks for 8192, and for 64 KiB where an authentication method has long items; no real login comes near.
"""
MAX_KEYS: Final = 256
"""Keys in one negotiation: RFC 7143 defines about 40; more are only ever made up."""
MAX_KEY_BYTES: Final = 63
"""The longest key name (RFC 7143 §6.1, standard-label)."""
MAX_BINARY_BYTES: Final = 1024
"""The longest binary value after decoding: CHAP_C and CHAP_R set the limit (RFC 7143 §12.1.3)."""
MAX_NUMERIC: Final = (1 << 64) - 1
"""The largest numerical-value (RFC 7143 §6.1)."""

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")
_HEX: Final = re.compile(r"0[xX]([0-9a-fA-F]+)")

Pair = tuple[str, str]
"""One key and its value, as text."""


class TextViolation(RemoteProtocolError):
    """The peer's text does not follow the rules of RFC 7143 §6.1, or is more than its budget allows."""


def parse_text(data: Buffer, max_keys: int = MAX_KEYS) -> list[Pair]:
    """The pairs of a complete text, in order, at most `max_keys`; raises `TextViolation`.

    Null bytes behind a pair's own one are let pass: some initiators count the padding into the data segment.
    """
    text = _decode(data)
    if text and not text.endswith("\0"):
        raise TextViolation("the last key=value pair does not end with a null byte (RFC 7143 §6.1)")
    entries = [entry for entry in text.split("\0") if entry]
    if len(entries) > max_keys:
        raise TextViolation(f"more than {max_keys} keys")
    return [_parse_pair(entry) for entry in entries]


def _decode(data: Buffer) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise TextViolation("the text is not UTF-8 (RFC 7143 §6.1)") from error


def _parse_pair(entry: str) -> Pair:
    key, separator, value = entry.partition("=")
    if not separator or not key:
        raise TextViolation(f"{entry[:MAX_KEY_BYTES]!r} is not key=value (RFC 7143 §6.1)")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise TextViolation(f"a key name is longer than {MAX_KEY_BYTES} bytes (RFC 7143 §6.1)")
    return key, value


def encode_text(pairs: Iterable[Pair]) -> bytes:
    """The data segment that carries `pairs`."""
    return "".join(f"{key}={value}\0" for key, value in pairs).encode()


def split_text(data: bytes, limit: int) -> list[bytes]:
    """Cut encoded text into data segments of at most `limit` bytes, at least one of them.

    A pair may span PDUs (RFC 7143 §6.1), but the cuts fall between pairs where they can: simple peers read each PDU alone.
    """
    pieces = []
    while len(data) > limit:
        cut = data.rfind(b"\0", 0, limit) + 1 or limit
        pieces.append(data[:cut])
        data = data[cut:]
    return [*pieces, data]


class TextAssembler:
    """Joins the text of PDUs whose C bit says that more follows (RFC 7143 §6.2, §11.10.2), within one budget for all."""

    def __init__(self, budget: int = MAX_TEXT_BYTES, max_keys: int = MAX_KEYS) -> None:
        """`budget` is how many bytes may come in the life of this assembler, `max_keys` how many pairs in one text."""
        self._budget = budget
        self._max_keys = max_keys
        self._collected = bytearray()

    def add(self, data_segment: Buffer, *, more: bool) -> list[Pair] | None:
        """Take the text of one PDU: the pairs of the whole text, or None while there is `more`; raises `TextViolation`."""
        self._budget -= memoryview(data_segment).nbytes
        if self._budget < 0:
            raise TextViolation("more text than the budget of one negotiation")
        self._collected += data_segment
        if more:
            return None
        text = bytes(self._collected)
        self._collected.clear()
        return parse_text(text, self._max_keys)


def parse_boolean(value: str) -> bool:
    """A boolean-value, "Yes" or "No"."""
    if value not in {"Yes", "No"}:
        raise TextViolation(f"{value[:20]!r} is neither Yes nor No")
    return value == "Yes"


def encode_boolean(value: bool) -> str:
    """A boolean-value."""
    return "Yes" if value else "No"


def parse_numeric(value: str) -> int:
    """A numerical-value: a decimal or hexadecimal constant below 2^64."""
    if _DECIMAL.fullmatch(value):
        number = int(value)
    elif (match := _HEX.fullmatch(value)) and len(match[1].lstrip("0")) <= 16:
        number = int(match[1], 16)
    else:
        raise TextViolation(f"{value[:20]!r} is not a number")
    if number > MAX_NUMERIC:
        raise TextViolation(f"{value[:20]!r} is 2^64 or more")
    return number


def parse_list(value: str) -> list[str]:
    """A list-of-values: text-values with commas between them, none of them empty."""
    values = value.split(",")
    if not all(values):
        raise TextViolation("a list has an empty value")
    return values


def parse_binary(value: str) -> bytes:
    """A binary-value as a hexadecimal or base64 constant, its length that of the encoding."""
    if len(value) > 2 * MAX_BINARY_BYTES + 2:
        raise TextViolation(f"a binary value is longer than {MAX_BINARY_BYTES} bytes (RFC 7143 §12.1.3)")
    if match := _HEX.fullmatch(value):
        digits = match[1]
        return bytes.fromhex("0" * (len(digits) % 2) + digits)
    if value[:2] in {"0b", "0B"} and len(value) > 2:
        return _decode_base64(value[2:])
    raise TextViolation("a binary value is neither hexadecimal nor base64")


def _decode_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TextViolation("a binary value is not valid base64") from error
    if len(data) > MAX_BINARY_BYTES:
        raise TextViolation(f"a binary value is longer than {MAX_BINARY_BYTES} bytes (RFC 7143 §12.1.3)")
    return data


def encode_hex(data: bytes) -> str:
    """A binary-value as a hex-constant."""
    return f"0x{data.hex()}"


def encode_base64(data: bytes) -> str:
    """A binary-value as a base64-constant."""
    return f"0b{base64.b64encode(data).decode()}"
