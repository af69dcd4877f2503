"""The commands of the guides: which there are, and where they are to be run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ELSEWHERE", "GUEST", "GUIDES", "PLACES", "RUN", "USER_GUIDE", "Block", "Step", "blocks", "documents"]

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted((DOCS / "guides").glob("*.md"))
USER_GUIDE = DOCS / "user-guide.md"
RUN, GUEST, ELSEWHERE = "run", "guest", "elsewhere"
PLACES = (RUN, GUEST, ELSEWHERE)
"""On the server; on a client with the Linux kernel's initiator; where no test can be."""
_PART = re.compile(r"^(?:```(?P<mark>[^\n]*)\n(?P<text>.*?)^```|#+ (?P<heading>[^\n]+))$", re.MULTILINE | re.DOTALL)
_LANGUAGES = ("sh", "console")
_DATA = ("yaml", "toml", "json", "ini", "text")
_NAMED = re.compile(r"# (\S+\.\w+)\n")
_CONTINUED = "\\\n"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what the guide says that it prints; `…` stands for what may be there."""

    command: str
    says: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether what it says is why nothing is done."""
        return any(line.startswith("isthmus: ") for line in self.says)

    def is_said(self, output: str) -> bool:
        """Whether the output has these lines, in this order."""
        lines = iter(output.splitlines())
        return all(any(_pattern(said).fullmatch(line) for line in lines) for said in self.says if said != "…")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that stand together."""

    place: str
    text: str
    line: int
    """Of the guide, where it begins."""
    section: str = ""
    """The heading above it."""
    reason: str = ""
    """Why it is run elsewhere."""

    def steps(self) -> Iterator[Step]:
        """Of a block that shows a terminal: each command is behind a `$`, or behind the prompt of a shell that it starts."""
        command, says = "", list[str]()
        for line in self.text.replace(_CONTINUED, " ").splitlines():
            prompt, found, typed = line.partition("> ")
            if line.startswith("$ "):
                if command:
                    yield Step(command, tuple(says))
                command, says = line.removeprefix("$ "), []
            elif found and prompt.startswith("/"):
                command = f"{command.removesuffix(_END)}{'' if _START in command else _START}{typed}\n{_END}"
            else:
                says.append(line)
        yield Step(command, tuple(says))


_START, _END = " <<'END'\n", "END"


def _pattern(said: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in said.split("…")))


def blocks(guide: Path) -> list[Block]:
    """Every block of commands; raises `ValueError` for one that does not say where it is run."""
    text = guide.read_text(encoding="utf-8")
    found = []
    section = ""
    for part in _PART.finditer(text):
        if part["heading"]:
            section = part["heading"]
            continue
        line = text.count("\n", 0, part.start()) + 1
        mark, _, reason = part["mark"].partition(": ")
        language, _, place = mark.partition(" ")
        if language in _DATA:
            continue
        if language not in _LANGUAGES or place not in PLACES:
            raise ValueError(
                f"{guide.name}:{line}: commands are {' or '.join(_LANGUAGES)} and one of {', '.join(PLACES)}, not {part['mark']!r}"
            )
        found.append(Block(place, part["text"], line, section, reason))
    return found


def documents(guide: Path) -> dict[str, str]:
    """The files that a guide shows, by the name in their first line."""
    shown = (part["text"] for part in _PART.finditer(guide.read_text(encoding="utf-8")) if part["text"])
    return {named[1]: text for text in shown if (named := _NAMED.match(text))}
