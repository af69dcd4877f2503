"""The commands of the guides in docs/guides: which there are, and where they are to be run."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ELSEWHERE", "GUEST", "GUIDES", "PLACES", "RUN", "Block", "blocks"]

GUIDES = sorted((Path(__file__).parents[2] / "docs" / "guides").glob("*.md"))
RUN, GUEST, ELSEWHERE = "run", "guest", "elsewhere"
PLACES = (RUN, GUEST, ELSEWHERE)
"""On the server; on a client with the Linux kernel's initiator; where no test can be."""
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DATA = ("yaml", "toml", "json", "ini", "text")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that stand together."""

    place: str
    text: str
    line: int
    """Of the guide, where it begins."""


def blocks(guide: Path) -> list[Block]:
    """Every block of commands; raises `ValueError` for one that does not say where it is run."""
    text = guide.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        language, _, place = fence[1].partition(" ")
        if language in _DATA:
            continue
        if language != "sh" or place not in PLACES:
            raise ValueError(f"{guide.name}:{line}: commands are `sh` and one of {', '.join(PLACES)}, not {fence[1]!r}")
        found.append(Block(place, fence[2], line))
    return found
