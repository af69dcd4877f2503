"""`alua` of a storage object: its target port groups. A LUN is in one of them, by its own group `alua`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from isthmus.cli.shell.node import Node, SettingsGroup, completed, number
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey
from isthmus.config.settings import ALUA_GROUP_PARAMETERS, Value
from isthmus.management.alua_edits import (
    alua_group_of,
    alua_groups_of,
    alua_members,
    create_alua_group,
    delete_alua_group,
    set_alua_parameters,
)
from isthmus.management.backstore_edits import backstore_of
from isthmus.management.views import AluaGroupView

__all__ = ["AluaNode"]

_STATES: Final = {
    0: "Active/optimized",
    1: "Active/non-optimized",
    2: "Standby",
    3: "Unavailable",
    4: "LBA Dependent",
    14: "Offline",
    15: "Transitioning",
}
_STATE: Final = "alua_access_state"
_STATUS: Final = "alua_access_status"


class AluaNode(Node):
    """The target port groups of one storage object."""

    def __init__(self, key: BackstoreKey, parent: Node) -> None:
        self._key = key
        super().__init__("alua", parent)

    @property
    def backstore(self) -> Backstore:
        """Whose they are."""
        return backstore_of(self.editor.configuration, self._key)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for group in alua_groups_of(self.backstore):
            yield partial(AluaGroupNode, self._key, group.name, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"ALUA Groups: {len(alua_groups_of(self.backstore))}", None

    def ui_command_create(self, name: str, tag: str) -> Node | None:
        """Creates an ALUA target port group of that name; "tag" is its number, 1 to 65535.

        A LUN is put into it by `set alua alua_tg_pt_gp_name=NAME` at the LUN.

        SEE ALSO
        ========
        delete
        """
        self.edit(create_alua_group, self._key, name, number(tag, ""))
        self.say(f"Created ALUA TPG {name}.")
        return self.created(name)

    def ui_command_delete(self, name: str) -> None:
        """Deletes the ALUA target port group; its LUNs are in default_tg_pt_gp then.

        SEE ALSO
        ========
        create
        """
        self.edit(delete_alua_group, self._key, name)
        self.say(f"Deleted ALUA TPG {name}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of groups."""
        return completed([group.name for group in alua_groups_of(self.backstore)], text)


class AluaGroupNode(Node):
    """One target port group."""

    def __init__(self, key: BackstoreKey, name: str, parent: Node) -> None:
        self._key = key
        super().__init__(name, parent)
        self._parameters = SettingsGroup(self, "alua", ALUA_GROUP_PARAMETERS, self._present, self._set)
        self.define_config_group_param("alua", "tg_pt_gp_id", "number", "Its number.", writable=False)
        self.define_config_group_param("alua", "members", "string", "The LUNs that are in it.", writable=False)

    @property
    def group(self) -> AluaGroup:
        """Its configuration."""
        return alua_group_of(backstore_of(self.editor.configuration, self._key), self.name)

    def _running(self) -> AluaGroupView | None:
        store = self.editor.backstore(self._key)
        found = () if store is None else store.alua_groups
        return next((group for group in found if group.name == self.name), None)

    def _present(self) -> dict[str, Value]:
        """What is configured, but the state and what brought it about, which are as they are: initiators may set them."""
        running = self._running()
        now = {} if running is None else {_STATE: running.state, _STATUS: running.status_code}
        return {**self.group.parameters, **now}

    def _set(self, values: Mapping[str, Value]) -> None:
        configured = ALUA_GROUP_PARAMETERS.with_defaults(self.group.parameters)[_STATE]
        self.edit(set_alua_parameters, self._key, self.name, values)
        if _STATE in values and values[_STATE] == configured:
            self.editor.daemon.restore_alua_state(self._key, self.name)
            self.editor.forget_what_runs()

    def summary(self) -> tuple[str, bool | None]:
        state = int(self._parameters.get(_STATE))
        return f"ALUA state: {_STATES.get(state, state)}", True

    def ui_getgroup_alua(self, name: str) -> Value:
        """The value of a parameter."""
        if name == "tg_pt_gp_id":
            return self.group.alua_group_id
        if name == "members":
            return " ".join(self._members())
        return self._parameters.get(name)

    def _members(self) -> Iterator[str]:
        for target, group, lun in alua_members(self.editor.configuration, self._key, self.name):
            yield f"/iscsi/{target.name}/tpg{group.tag}/luns/lun{lun.number}"

    def ui_command_info(self) -> None:
        """Displays the group's name, its number and its parameters."""
        values = {setting.name: self._parameters.get(setting.name) for setting in ALUA_GROUP_PARAMETERS}
        self.tell({"name": self.name, "tg_pt_gp_id": self.group.alua_group_id, **values})
