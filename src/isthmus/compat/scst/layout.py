"""scst.conf as people find it laid out: sections with a tab for each level."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.compat.scst.grammar import quote

__all__ = ["Block", "layout"]


@dataclass(slots=True)
class Block:
    """A statement, and the section that it opens if it has one."""

    words: tuple[str, ...]
    inner: "list[Block]" = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the statement is."""
        return self.words[0]

    def all(self, name: str) -> "list[Block]":
        """The statements of that name in the section."""
        return [inner for inner in self.inner if inner.name == name]

    def find(self, *words: str) -> "Block | None":
        """The first statement in the section that begins with `words`."""
        return next((inner for inner in self.inner if inner.words[: len(words)] == words), None)

    def set(self, name: str, value: str) -> None:
        """Have one statement of that name, with that value."""
        present = self.find(name)
        if present is None:
            self.add(name, value)
        else:
            present.words = (name, value)

    def add(self, *words: str | int) -> "Block":
        """One more statement in the section."""
        added = Block(tuple(map(str, words)))
        self.inner.append(added)
        return added


def layout(blocks: Iterable[Block]) -> str:
    """The text of `blocks`; raises `ConfigurationError` for a word that no line can hold."""
    return "".join("\n" + "".join(_lines(block, "")) for block in blocks)


def _lines(block: Block, indent: str) -> Iterator[str]:
    words = " ".join(map(quote, block.words))
    if not block.inner:
        yield f"{indent}{words}\n"
        return
    yield f"{indent}{words} {{\n"
    for inner in block.inner:
        yield from _lines(inner, indent + "\t")
    yield f"{indent}}}\n"
