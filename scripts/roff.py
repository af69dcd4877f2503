"""Text as a manual page has it: the macros of man(7), with everything escaped that roff would read as its own."""

import re
import textwrap
from collections.abc import Iterable
from typing import Final

__all__ = ["head", "item", "paragraphs", "section", "subsection", "text", "verbatim"]

_ESCAPES: Final = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq", "`": r"\(ga"})  # fmt: skip
WIDTH: Final = 80
"""Of a line of the source; what is read is filled anew."""
_CODE: Final = re.compile(r"`([^`\n]+)`|\*\*([^*]+)\*\*")
_AS_IT_STANDS: Final = "\b"
"""What click's docstrings mark a paragraph with whose lines are to stay as they are."""


def head(name: str, chapter: int, date: str, *, manual: str) -> str:
    """The first line of a page."""
    return f'.TH {text(name.upper())} {chapter} {date} "" "{text(manual)}"\n'


def section(title: str) -> str:
    """A heading."""
    return f".SH {_argument(title)}\n"


def subsection(title: str) -> str:
    """A heading below a section's."""
    return f".SS {_argument(title)}\n"


def paragraphs(prose: str) -> str:
    """Paragraphs with an empty line between them; `code` is bold, and what is indented stays as it is."""
    parts = re.split(r"\n\s*\n", textwrap.dedent(prose).strip())
    return ".PP\n".join(_paragraph(part) for part in parts if part.strip())


def item(term: str, prose: str, *, bold: bool = True) -> str:
    """A term and what it means."""
    body = _line(prose) or r"\&"
    return f".TP\n{_bold(term) if bold else _line(term)}\n{body}\n"


def verbatim(lines: str) -> str:
    """An example, line by line."""
    body = "".join(f"{_protected(text(line))}\n" for line in lines.strip("\n").splitlines())
    return f".nf\n.RS 4\n{body}.RE\n.fi\n"


def text(words: str) -> str:
    """Any words, to be read as they are."""
    return words.translate(_ESCAPES)


def _paragraph(part: str) -> str:
    if part.startswith((_AS_IT_STANDS, "    ")):
        return verbatim(textwrap.dedent(part.removeprefix(_AS_IT_STANDS)))
    return f"{_line(part)}\n"


def _line(prose: str) -> str:
    lines = textwrap.wrap(
        "".join(_spans(" ".join(prose.split()))), WIDTH, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(_protected(line) for line in lines)


def _spans(prose: str) -> Iterable[str]:
    end = 0
    for found in _CODE.finditer(prose):
        yield text(prose[end : found.start()])
        yield _bold(found[1] or found[2])
        end = found.end()
    yield text(prose[end:])


def _bold(words: str) -> str:
    return rf"\fB{text(words)}\fP"


def _protected(line: str) -> str:
    """A line that begins with a dot would be a macro."""
    return rf"\&{line}" if line.startswith(".") else line


def _argument(words: str) -> str:
    return f'"{text(words)}"' if " " in words else text(words)
