"""The tree's nodes: made when they are looked at, and thrown away when the configuration changes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Concatenate, ParamSpec

from configshell_fb import ConfigNode, ExecutionError

from isthmus.cli.shell.editing import Editor
from isthmus.config.model import Configuration
from isthmus.config.settings import Flag, Number, SettingTable, Value

__all__ = ["Node", "SettingsGroup", "boolean", "number"]

P = ParamSpec("P")


class Node(ConfigNode):
    """A node that makes its children when somebody asks for them: a large configuration costs only what is looked at."""

    groups: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, parent: "Node | None" = None, shell: Any = None) -> None:
        self._made = False
        self._own: set[Any] = set()
        super().__init__(name, parent, shell)

    @property
    def editor(self) -> Editor:
        """The one hold on the daemon, kept by the shell."""
        editor: Editor = self.shell.editor
        return editor

    @property
    def _children(self) -> set[Any]:
        if not self._made:
            self._made = True
            for make in self.make_children():
                make()
        return self._own

    @_children.setter
    def _children(self, children: set[Any]) -> None:
        self._own = children

    def make_children(self) -> Iterator[Callable[[], object]]:
        """What makes each child (a child adds itself to its parent)."""
        return iter(())

    def forget_children(self) -> None:
        """Have them made again when they are next looked at."""
        self._made = False
        self._own = set()

    def edit(
        self, step: Callable[Concatenate[Configuration, P], Configuration], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have the daemon run an edit; its warnings are shown."""
        for warning in self.editor.edit(step, *args, **kwargs):
            self.shell.log.warning(warning)

    def say(self, text: str) -> None:
        """One line for the operator."""
        self.shell.log.info(text)

    def preference(self, name: str) -> bool:
        """A global preference that is on or off."""
        return bool(self.shell.prefs[name])

    def ui_command_refresh(self) -> None:
        """Fetches the configuration again and shows it as it is now."""
        self.editor.refresh()

    def ui_command_status(self) -> None:
        """Displays the current node's status summary."""
        description, _ = self.summary()
        self.say(f"Status for {self.path}: {description}")


class SettingsGroup:
    """One configuration group of a node (`attribute`, `parameter`, …) by its table."""

    def __init__(
        self,
        node: Node,
        group: str,
        table: SettingTable,
        read: Callable[[], Mapping[str, Value]],
        write: Callable[[Mapping[str, Value]], None],
    ) -> None:
        """`read` gives the values that are set, `write` sets some."""
        self._table = table
        self._read = read
        self._write = write
        for setting in table:
            kind = "number" if isinstance(setting.kind, Number | Flag) else "string"
            node.define_config_group_param(group, setting.name, kind, setting.about, writable=not setting.fixed)

    def get(self, name: str) -> Value:
        """The value in force."""
        return self._read().get(name, self._table[name].default)

    def set(self, name: str, value: Value) -> None:
        """Change one; raises `ConfigurationError`."""
        self._write({name: value})


def boolean(node: Node, text: str | None, default: bool) -> bool:
    """What the shell takes for true or false."""
    return bool(node.ui_eval_param(text, "bool", default))


def number(text: str, prefix: str) -> int:
    """A number, which may have its prefix: 3, lun3, tpg3; raises `ExecutionError`."""
    digits = text.removeprefix(prefix)
    if not digits.isascii() or not digits.isdigit():
        raise ExecutionError(f"{text!r} is not a number")
    return int(digits)
