"""`initiator_groups` of a portal group: initiators named by patterns, and what they see."""

from collections.abc import Callable, Iterator
from functools import partial

from isthmus.cli.shell.access import GroupPart
from isthmus.cli.shell.node import Node, SettingsGroup, boolean, number
from isthmus.config.model import InitiatorGroup, MappedLun
from isthmus.config.settings import INITIATOR_GROUP_ATTRIBUTES, Value
from isthmus.management.initiator_group_edits import (
    add_group_lun,
    add_initiator_group,
    add_initiators,
    initiator_group_of,
    move_initiator,
    remove_group_lun,
    remove_initiator_group,
    remove_initiators,
    set_initiator_group_attributes,
)
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName

__all__ = ["InitiatorGroupsNode"]


class InitiatorGroupsNode(GroupPart):
    """Who may log in without a node ACL of its own."""

    part = "initiator_groups"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for group in self.group.initiator_groups:
            yield partial(InitiatorGroupNode, self._target, self._tag, group.name, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"Initiator Groups: {len(self.group.initiator_groups)}", None

    def ui_command_create(self, name: str, initiators: str | None = None) -> None:
        """Creates an initiator group, after the others: an initiator belongs to the first group that it matches.

        "initiators" are patterns of names, joined by commas: * stands for any characters, ? for one, and a pattern that
        begins with ! matches every name that the rest of it does not match.

        SEE ALSO
        ========
        delete
        """
        self.edit(add_initiator_group, self._target, self._tag, name, _patterns(initiators or ""))
        self.say(f"Created initiator group {name}.")

    def ui_command_delete(self, name: str, force: str | None = None) -> None:
        """Deletes the initiator group of that name.

        While initiators of it are logged in, that is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        self.take(force, remove_initiator_group, self._target, self._tag, name)
        self.say(f"Deleted initiator group {name}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of groups."""
        matching = [group.name for group in self.group.initiator_groups if group.name.startswith(text)]
        return [f"{matching[0]} "] if len(matching) == 1 else matching


class InitiatorGroupNode(Node):
    """One initiator group."""

    def __init__(self, target: IscsiName, tag: int, name: str, parent: Node) -> None:
        self._place = target, tag, name
        super().__init__(name, parent)
        self._attributes = SettingsGroup(
            self,
            "attribute",
            INITIATOR_GROUP_ATTRIBUTES,
            lambda: self.group.attributes,
            lambda values: self.edit(set_initiator_group_attributes, target, tag, name, values),
        )

    @property
    def group(self) -> InitiatorGroup:
        """Its configuration."""
        target, tag, name = self._place
        return initiator_group_of(group_of(self.editor.configuration, target, tag), name)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for mapped in self.group.mapped_luns:
            yield partial(GroupLunNode, mapped, self)

    def summary(self) -> tuple[str, bool | None]:
        group = self.group
        return f"{', '.join(group.initiators) or 'nobody'}, Mapped LUNs: {len(group.mapped_luns)}", None

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_command_add(self, initiators: str) -> None:
        """Adds patterns of initiator names, joined by commas.

        SEE ALSO
        ========
        remove move
        """
        self.edit(add_initiators, *self._place, _patterns(initiators))

    def ui_command_remove(self, initiators: str, force: str | None = None) -> None:
        """Removes patterns of initiator names, joined by commas.

        While initiators that they match are logged in, that is refused, unless "force" is true.

        SEE ALSO
        ========
        add move
        """
        self.take(force, remove_initiators, *self._place, _patterns(initiators))

    def ui_command_move(self, initiator: str, group: str) -> None:
        """Moves a pattern to another initiator group; sessions stay, and see what that group sees.

        SEE ALSO
        ========
        add remove
        """
        self.edit(move_initiator, *self._place, initiator, group)

    def ui_command_create(self, mapped_lun: str, tpg_lun: str, write_protect: str | None = None) -> None:
        """Maps a LUN of the portal group for these initiators, as number "mapped_lun".

        With "write_protect" true they only read it.

        SEE ALSO
        ========
        delete
        """
        wanted = number(mapped_lun, "mapped_lun")
        protected = boolean(self, write_protect, False)
        self.edit(add_group_lun, *self._place, number(tpg_lun, "lun"), number=wanted, write_protect=protected)
        self.say(f"Created Mapped LUN {wanted}.")

    def ui_command_delete(self, mapped_lun: str, force: str | None = None) -> None:
        """Takes the mapped LUN with that number from these initiators.

        While they use it, that is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        wanted = number(mapped_lun, "mapped_lun")
        self.take(force, remove_group_lun, *self._place, wanted)
        self.say(f"Deleted Mapped LUN {wanted}.")


class GroupLunNode(Node):
    """One mapped LUN."""

    def __init__(self, mapped: MappedLun, parent: Node) -> None:
        self._mapped = mapped
        super().__init__(f"mapped_lun{mapped.number}", parent)

    def summary(self) -> tuple[str, bool | None]:
        return f"lun{self._mapped.tpg_lun} ({'ro' if self._mapped.write_protect else 'rw'})", True


def _patterns(text: str) -> list[str]:
    return [pattern.strip() for pattern in text.split(",") if pattern.strip()]
