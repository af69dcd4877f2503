r"""The text of scst.conf as a tree of statements, and back: the grammar that scstadmin's man page scst.conf(5) gives.

A statement is a line of words. One that ends with `{` opens a section, which a line with nothing but `}` closes. Words that
hold blanks stand in double quotes. `#` opens a comment, wherever it stands, and takes the one character before it along;
`\#` is a `#`, and a backslash makes any other character that character, too: even a quote or a brace.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from isthmus.config.declaration.errors import DocumentError, Position
from isthmus.errors import ConfigurationError

__all__ = ["MAX_DEPTH", "Note", "Statement", "Word", "is_writable", "parse", "quote"]

MAX_DEPTH: Final = 8
"""Sections within sections; what scst.conf has goes no deeper than four."""
_BLANKS: Final = " \t\r\f\v"
_UNWRITABLE: Final = "\n"


@dataclass(frozen=True, slots=True)
class Word:
    """One word, without its quotes and backslashes, and where it starts."""

    text: str
    position: Position

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A line that says something, with the section that it opens."""

    words: tuple[Word, ...]
    """One at least."""
    section: "tuple[Statement, ...]" = ()
    opens: bool = False
    """Whether it has braces at all."""

    @property
    def name(self) -> str:
        """What the statement is: `TARGET`, `enabled`."""
        return self.words[0].text

    @property
    def position(self) -> Position:
        """Where it starts."""
        return self.words[0].position

    def find(self, name: str) -> "Iterator[Statement]":
        """The statements of that name in its section."""
        return (inner for inner in self.section if inner.name == name)


@dataclass(frozen=True, slots=True)
class Note:
    """A place where the text means something else than it seems to."""

    position: Position
    text: str


@dataclass(slots=True)
class _Open:
    """A section whose end has not come yet."""

    words: tuple[Word, ...]
    statements: list[Statement] = field(default_factory=list)


def parse(text: str) -> tuple[tuple[Statement, ...], list[Note]]:
    """The statements of `text`, and notes on what easily goes wrong in it.

    Raises `DocumentError` with the position of what is no statement.
    """
    notes: list[Note] = []
    open_sections = [_Open(())]
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _without_comment(raw, number, notes)
        words, brace = _Line(line, number).read()
        if brace == "}":
            _close(open_sections, words[0].position)
        elif brace:
            _open(open_sections, words)
            if brace == "{}":
                _close(open_sections, words[-1].position)
        elif words:
            open_sections[-1].statements.append(Statement(words=words))
    if len(open_sections) > 1:
        opening = open_sections[-1].words[0]
        raise DocumentError(
            f"the section {opening.text!r} is not closed", "its end is a line with } alone", position=opening.position
        )
    return tuple(open_sections[0].statements), notes


def _open(open_sections: list[_Open], words: tuple[Word, ...]) -> None:
    if len(open_sections) > MAX_DEPTH:
        raise DocumentError("sections are nested too deeply", position=words[0].position)
    open_sections.append(_Open(words))


def _close(open_sections: list[_Open], position: Position) -> None:
    if len(open_sections) == 1:
        raise DocumentError("this } closes no section", "remove it", position=position)
    done = open_sections.pop()
    statement = Statement(words=done.words, section=tuple(done.statements), opens=True)
    open_sections[-1].statements.append(statement)


def _without_comment(line: str, number: int, notes: list[Note]) -> str:
    """The line without its comment; a comment in its midst costs the character before the `#`, as with scstadmin."""
    if line.startswith("#"):
        return ""
    at = line.find("#")
    while at > 0 and line[at - 1] == "\\":
        at = line.find("#", at + 1)
    if at < 0:
        return line
    if line[at - 1] not in _BLANKS:
        notes.append(
            Note(Position(number, at), "a # opens a comment and takes the character before it along: write \\# for a #")
        )
    return line[: at - 1]


class _Line:
    """Takes one line apart."""

    def __init__(self, line: str, number: int) -> None:
        self._line = line
        self._number = number
        self._at = 0

    def read(self) -> tuple[tuple[Word, ...], str]:
        """Its words, and the brace that ends it: `{`, `{}`, `}` (then the word is that brace) or nothing."""
        words: list[Word] = []
        while self._skip_blanks():
            if self._line[self._at] == "{":
                return tuple(words), self._opening(words)
            if self._line[self._at] == "}":
                return self._closing(words)
            words.append(self._quoted() if self._line[self._at] == '"' else self._bare())
        return tuple(words), ""

    def _skip_blanks(self) -> bool:
        """Go to the next character that is none; False: there is no more."""
        rest = self._line[self._at :].lstrip(_BLANKS)
        self._at = len(self._line) - len(rest)
        return bool(rest)

    def _opening(self, words: Sequence[Word]) -> str:
        if not words:
            raise self._error("this { opens a section without a name", "begin the line with it")
        self._at += 1
        if not self._skip_blanks():
            return "{"
        if self._line[self._at :].rstrip(_BLANKS) == "}":
            return "{}"
        raise self._error("the line goes on behind {", "a { ends its line; in a value it stands in double quotes")

    def _closing(self, words: Sequence[Word]) -> tuple[tuple[Word, ...], str]:
        if words or self._line[self._at + 1 :].strip(_BLANKS):
            raise self._error("this } does not stand alone", "give it its own line; in a value, double quotes")
        return (Word("}", self._here()),), "}"

    def _quoted(self) -> Word:
        start = self._here()
        self._at += 1
        text = self._take('"')
        if self._at == len(self._line):
            raise DocumentError(
                "the double quote that opens here is not closed on this line",
                'a # in a value is written \\#, and a double quote \\"',
                position=start,
            )
        self._at += 1
        if self._at < len(self._line) and self._line[self._at] not in _BLANKS + "{}":
            raise self._error("a word follows the closing double quote at once", 'put a blank between, or write \\"')
        return Word(text, start)

    def _bare(self) -> Word:
        start = self._here()
        return Word(self._take(_BLANKS + "{}"), start)

    def _take(self, ends: str) -> str:
        """The characters up to one of `ends`, or to the end of the line; a backslash goes and shields what follows."""
        taken: list[str] = []
        while self._at < len(self._line) and self._line[self._at] not in ends:
            if self._line[self._at] == "\\" and self._at + 1 < len(self._line):
                self._at += 1
            taken.append(self._line[self._at])
            self._at += 1
        return "".join(taken)

    def _here(self) -> Position:
        return Position(self._number, self._at + 1)

    def _error(self, problem: str, remedy: str) -> DocumentError:
        return DocumentError(problem, remedy, position=self._here())


def is_writable(*texts: str) -> bool:
    """Whether a line can hold each of them: scst.conf has no sign for a line break."""
    return not any(_UNWRITABLE in text for text in texts)


def quote(text: str) -> str:
    """`text` as a word that `parse` reads as that; raises `ConfigurationError` for what no line can hold."""
    if not is_writable(text):
        raise ConfigurationError("a value with a line break cannot be written in scst.conf", "choose another value")
    escaped = text.replace("\\", "\\\\").replace("#", "\\#").replace('"', '\\"')
    bare = text and not any(character in _BLANKS + "{}" for character in text)
    return escaped if bare else f'"{escaped}"'
