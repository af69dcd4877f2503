"""What a setting may be: the kinds of values, each with its range and the one form in which a value is kept."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.config.access_lists import canonical_host

__all__ = [
    "Ascii",
    "Choice",
    "Flag",
    "Hexadecimal",
    "Host",
    "KeyList",
    "Kind",
    "ListOf",
    "Number",
    "OneOf",
    "Text",
    "Value",
]

Value = int | str


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    or_zero: bool = False
    """0 is allowed as well, and means that there is none."""

    def parse(self, value: Value) -> int:
        """The number; raises `ValueError` with what it may be."""
        try:
            number = int(str(value), 0)
        except ValueError:
            raise ValueError(f"{value!r} is not a whole number") from None
        if not self.low <= number <= self.high and not (self.or_zero and number == 0):
            raise ValueError(f"{number} is not from {self.low} to {self.high}{', or 0' if self.or_zero else ''}")
        return number


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few numbers."""

    numbers: tuple[int, ...]

    def parse(self, value: Value) -> int:
        """The number; raises `ValueError` with those that there are."""
        number = Number(min(self.numbers), max(self.numbers)).parse(value)
        if number not in self.numbers:
            raise ValueError(f"{number} is not one of {', '.join(map(str, self.numbers))}")
        return number


@dataclass(frozen=True, slots=True)
class Flag:
    """On or off, kept as 1 or 0."""

    def parse(self, value: Value) -> int:
        """1 or 0; raises `ValueError` for what is neither."""
        number = {"1": 1, "yes": 1, "true": 1, "on": 1, "0": 0, "no": 0, "false": 0, "off": 0}.get(str(value).lower())
        if number is None:
            raise ValueError(f"{value!r} is neither 1 nor 0")
        return number


@dataclass(frozen=True, slots=True)
class Text:
    """Any text up to `longest` bytes of UTF-8."""

    longest: int

    def parse(self, value: Value) -> str:
        """The text; raises `ValueError` if it is too long."""
        text = str(value)
        if len(text.encode()) > self.longest:
            raise ValueError(f"it is longer than {self.longest} bytes")
        return text


@dataclass(frozen=True, slots=True)
class Ascii:
    """Up to `longest` printable ASCII characters: what a field of a SCSI command may hold (SPC-5 §4.3.1)."""

    longest: int

    def parse(self, value: Value) -> str:
        """The text, without blanks at its end; raises `ValueError`."""
        text = str(value).rstrip(" ")
        if len(text) > self.longest or not all(" " <= character <= "~" for character in text):
            raise ValueError(f"it has at most {self.longest} printable ASCII characters")
        return text


@dataclass(frozen=True, slots=True)
class Hexadecimal:
    """A number of a certain length in hexadecimal digits, or nothing."""

    lengths: tuple[int, ...]

    def parse(self, value: Value) -> str:
        """The digits in lower case, without a leading 0x; raises `ValueError`."""
        text = str(value).strip().lower().removeprefix("0x")
        if text and (len(text) not in self.lengths or not all(digit in "0123456789abcdef" for digit in text)):
            raise ValueError(f"it has {' or '.join(map(str, self.lengths))} hexadecimal digits")
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; their case does not matter."""

    words: tuple[str, ...]

    def parse(self, value: Value) -> str:
        """The word as it is spelled here; raises `ValueError` with the words."""
        for word in self.words:
            if word.lower() == str(value).lower():
                return word
        raise ValueError(f"{value!r} is not one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class KeyList:
    """A list of values for a text key, the best first, joined by commas (RFC 7143 §6.2.1)."""

    words: tuple[str, ...]

    def parse(self, value: Value) -> str:
        """The list in the spelling of the RFC; raises `ValueError` for an empty one or an unknown word."""
        chosen = [Choice(self.words).parse(word.strip()) for word in str(value).split(",")]
        if len(set(chosen)) != len(chosen):
            raise ValueError(f"{value!r} names a value twice")
        return ",".join(chosen)


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of items, joined by commas."""

    canonical: Callable[[str], str]
    """An item as it is kept; raises `ValueError`."""
    item: str
    """What one is called."""

    def parse(self, value: Value) -> str:
        """The list without blanks; raises `ValueError` for an item that cannot be, or that is there twice."""
        items = [self.canonical(item.strip()) for item in str(value).split(",")] if str(value).strip() else []
        if len(set(items)) != len(items):
            raise ValueError(f"{value!r} names {self.item} twice")
        return ",".join(items)


@dataclass(frozen=True, slots=True)
class Host:
    """An IP address or a DNS name, or nothing."""

    def parse(self, value: Value) -> str:
        """The address in its shortest form, without brackets; raises `ValueError` for what is neither."""
        text = str(value).strip()
        return canonical_host(text) if text else ""


Kind = Number | OneOf | Flag | Text | Ascii | Hexadecimal | Choice | KeyList | ListOf | Host
