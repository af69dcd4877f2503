"""One call of scstadmin, and what its attributes do to a section."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from isthmus.compat.scst.admin_tree import ISCSI, Tree
from isthmus.compat.scst.layout import Block
from isthmus.errors import ConfigurationError

__all__ = ["Edit", "Request", "add_all", "remove_all", "set_all", "split_attributes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of scstadmin: the verb's own operand and the words of its modifiers."""

    verb: str
    operand: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    """By modifier: driver, target, group, device, handler, attributes, to."""
    force: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether it asks for something that must be honoured as it is said, or be refused."""
        return bool(self.words.get("attributes")) or self.verb in {"open_dev", "add_target", "add_lun", "replace_lun"}

    def word(self, modifier: str) -> str:
        """The word of a modifier that must be there."""
        if not self.words.get(modifier):
            raise ConfigurationError(f"-{self.verb} lacks -{modifier}", "see scstadmin(1)")
        return self.words[modifier]

    def check_driver(self) -> None:
        """There is one driver."""
        if self.word("driver") != ISCSI:
            raise ConfigurationError(f"there is no driver {self.words['driver']!r}", f"there is {ISCSI}")

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """What -attributes says."""
        return split_attributes(self.word("attributes"))


def split_attributes(text: str) -> list[tuple[str, str]]:
    """Names and values in `name=value,name=value`; a name alone switches on."""
    pairs = (entry.partition("=") for entry in text.split(",") if entry.strip())
    return [(name.strip(), value.strip() if equals else "1") for name, equals, value in pairs]


Edit = Callable[[Tree, Request], None]
"""Changes the statements as a request says; raises `ConfigurationError`."""


def set_all(owner: Block, request: Request) -> None:
    """Set what -attributes says."""
    for name, value in request.attributes:
        owner.set(name, value)


def add_all(owner: Block, request: Request) -> None:
    """Add what -attributes says, beside what has the same name."""
    for name, value in request.attributes:
        owner.add(name, value)


def remove_all(owner: Block, request: Request) -> None:
    """Remove what -attributes says, by name and value."""
    for name, value in request.attributes:
        # What is kept of a secret does not tell it, so the user's name alone will do.
        matching = [
            inner
            for inner in owner.all(name)
            if inner.words[1:] == (value,) or (name.endswith("User") and inner.words[1].split()[0] == value.split()[0])
        ]
        if not matching:
            raise ConfigurationError(f"{owner.words[1]} has no {name} of that value", "-list_tgt_attr tells those")
        owner.inner.remove(matching[0])
