"""The tree's nodes: made when they are looked at, and thrown away when the configuration changes."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Concatenate, Final, ParamSpec

from configshell_fb import ConfigNode, ExecutionError

from isthmus.cli.shell.editing import Editor
from isthmus.config.model import Configuration
from isthmus.config.settings import Flag, Number, OneOf, SettingTable, Value
from isthmus.config.store import MAX_BACKUPS

__all__ = ["PREFERENCES", "Node", "SettingsGroup", "boolean", "completed", "completed_path", "number"]

P = ParamSpec("P")
PREFERENCES: Final[Mapping[str, tuple[str, bool | str, str]]] = {
    "auto_add_default_portal": ("bool", True, "A new portal group listens on every address until a portal is created."),
    "auto_add_mapped_luns": ("bool", True, "New LUNs and node ACLs are mapped to each other."),
    "auto_cd_after_create": ("bool", False, "Go to what was created."),
    "auto_enable_tpgt": ("bool", True, "A new portal group is enabled."),
    "auto_save_on_exit": ("bool", True, "Means nothing here: each change is saved before its command ends."),
    "auto_use_daemon": ("bool", True, "Means nothing here: commands always go to the daemon."),
    "daemon_use_batch_mode": ("bool", False, "Means nothing here: lines on standard input are a batch."),
    "export_backstore_name_as_model": ("bool", True, "The name of a new backstore is its product identification."),
    "max_backup_files": ("backups", str(MAX_BACKUPS), "How many saved configurations the daemon keeps."),
}
"""targetcli's global preferences: type, default, and what they are about."""
_BACKUPS: Final = str(MAX_BACKUPS)
_TRUTH: Final = {"1": "true", "0": "false"}


class Node(ConfigNode):
    """A node that makes its children when somebody asks for them: a large configuration costs only what is looked at."""

    groups: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, parent: "Node | None" = None, shell: Any = None) -> None:
        self._made = False
        self._own: set[Any] = set()
        self._writers: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        super().__init__(name, parent, shell)
        for preference, (kind, _, about) in PREFERENCES.items():
            self.define_config_group_param("global", preference, kind, about)

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
        self._edit(lambda configuration: step(configuration, *args, **kwargs), force=False)

    def take(
        self,
        force: str | None,
        step: Callable[Concatenate[Configuration, P], Configuration],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Have the daemon run an edit that takes something away: with `force` (the word typed) also from who uses it."""
        forced = boolean(self, force, False)
        self._edit(lambda configuration: step(configuration, *args, **kwargs), force=forced)

    def _edit(self, step: Callable[[Configuration], Configuration], *, force: bool) -> None:
        for warning in self.editor.edit(step, force=force):
            self.warn(warning)

    def write_group(self, group: str, write: Callable[[Mapping[str, Any]], None]) -> None:
        """Have `write` set parameters of a configuration group, all that are given in one edit."""
        self._writers[group] = write

    def get_group_setter(self, group: str) -> Callable[[str, Any], None]:
        """What sets one parameter of a group."""
        if group in self._writers:
            return lambda name, value: self._writers[group]({name: value})
        setter: Callable[[str, Any], None] = super().get_group_setter(group)
        return setter

    def ui_command_set(self, group: str | None = None, **parameter: str) -> None:
        """Sets one or more configuration parameters in the given group: all of them, or none.

        The "global" group contains all global CLI preferences. Other groups are specific to the current path.

        Run with no parameter nor group to list all available groups, or with just a group name to list all available
        parameters within that group.

        Example: set global color_mode=true loglevel_console=info

        SEE ALSO
        ========
        get
        """
        values = self._checked(group, parameter)
        if group is None or group not in self._writers or not parameter:
            super().ui_command_set(group, **parameter)
            return
        self._writers[group](values)
        for name in values:
            shown = self._type_of(group, name)(self.get_group_getter(group)(name), reverse=True)
            self.shell.con.display(f"Parameter {name} is now '{shown}'.")

    def _checked(self, group: str | None, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The values of `set`; raises `ExecutionError` for the first that cannot be."""
        if not parameters:
            return {}
        if group is None or group not in self.list_config_groups():
            raise ExecutionError(f"Unknown configuration group: {group}")
        for name in parameters:
            if name not in self.list_group_params(group):
                raise ExecutionError(f"Unknown parameter {name} in group '{group}'.")
            if not self.get_group_param(group, name)["writable"]:
                raise ExecutionError(f"Parameter {name} is read-only.")
        values = {}
        for name, text in parameters.items():
            try:
                value = self._type_of(group, name)(text)
            except ValueError as error:
                raise ExecutionError(f"Not setting {name}! {error}") from None
            # configshell has None for what is empty: `set attribute redirect_address=` clears it.
            values[name] = "" if value is None else value
        return values

    def _type_of(self, group: str, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = self.get_type_method(self.get_group_param(group, name)["type"])
        return method

    def say(self, text: str) -> None:
        """One line for the operator."""
        self.shell.log.info(text)

    def warn(self, text: str) -> None:
        """One line of warning for the operator."""
        self.shell.log.warning(text)

    def preference(self, name: str) -> bool:
        """A global preference that is on or off."""
        return bool(self.shell.prefs[name])

    def created(self, *names: str) -> "Node | None":
        """The new node that `names` lead to from here is @last; gives it if the shell is to go there."""
        path = "/".join([self.path.rstrip("/"), *names])
        self.shell.prefs["bookmarks"]["last"] = path
        self.shell.prefs.save()
        if not self.preference("auto_cd_after_create"):
            return None
        self.say(f"Entering new node {path}")
        node: Node = self.ui_command_cd(path)
        return node

    def tell(self, values: Mapping[str, object]) -> None:
        """What `info` says, in the order of the names."""
        for name, value in sorted(values.items()):
            self.shell.con.display(f"{name}: {value}")

    def ui_type_bool(self, value: str | None = None, enum: bool = False, reverse: bool = False) -> Any:
        """True or false, by these words or as 1 and 0."""
        known = value if reverse or value is None else _TRUTH.get(value, value)
        return super().ui_type_bool(known, enum, reverse)

    def ui_type_backups(self, value: str | None = None, enum: bool = False, reverse: bool = False) -> Any:
        """How many backups there are is the daemon's to say: only that number can be set."""
        if reverse:
            return value
        if value is None:
            return [_BACKUPS] if enum else _BACKUPS
        if value != _BACKUPS:
            raise ValueError(f"The daemon keeps {_BACKUPS}.")
        return value

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
        node.write_group(group, write)
        for setting in table:
            kind = "number" if isinstance(setting.kind, Number | OneOf | Flag) else "string"
            writable = not (setting.fixed or setting.read_only)
            node.define_config_group_param(group, setting.name, kind, setting.about, writable=writable)

    def get(self, name: str) -> Value:
        """The value in force."""
        return self._read().get(name, self._table[name].default)


def boolean(node: Node, text: str | None, default: bool) -> bool:
    """What the shell takes for true or false."""
    return bool(node.ui_eval_param(text, "bool", default))


def completed(words: Iterable[str], text: str) -> list[str]:
    """Those of `words` that begin with `text`; a blank follows the only one, unless it is a directory."""
    matching = [word for word in words if word.startswith(text)]
    if len(matching) == 1 and not matching[0].endswith("/"):
        return [f"{matching[0]} "]
    return matching


def completed_path(text: str, *, devices: bool) -> list[str]:
    """The files and directories whose paths begin with `text`; block devices, too, if those will do."""
    directory, _, beginning = text.rpartition("/")
    place = Path(directory or ("/" if text.startswith("/") else "."))
    found = []
    try:
        for entry in sorted(place.expanduser().iterdir()):
            mode = entry.stat().st_mode
            name = f"{directory}/{entry.name}" if "/" in text else entry.name
            if entry.name.startswith(beginning):
                wanted = stat.S_ISREG(mode) or (devices and stat.S_ISBLK(mode))
                found += [f"{name}/"] if stat.S_ISDIR(mode) else [name] * wanted
    except OSError:
        return []
    return found


def number(text: str, prefix: str) -> int:
    """A number, which may have its prefix: 3, lun3, tpg3; raises `ExecutionError`."""
    digits = text.lower().removeprefix(prefix)
    if not digits.isascii() or not digits.isdigit():
        raise ExecutionError(f"{text!r} is not a number")
    return int(digits)
