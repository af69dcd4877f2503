"""What is in a portal group: portals and LUNs; node ACLs stand beside (`acls`)."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from configshell_fb import ExecutionError

from isthmus.cli.shell.backstores import backstore_for, with_backstore
from isthmus.cli.shell.node import Node, boolean, completed, completed_path, number
from isthmus.config.model import DEFAULT_ALUA_GROUP, Configuration, Lun, Portal, PortalGroup
from isthmus.management.alua_edits import lun_of, set_lun_alua_group
from isthmus.management.lun_edits import add_lun, remove_lun
from isthmus.management.target_edits import add_portal, change_portal, group_of, remove_portal
from isthmus.names import IscsiName

__all__ = ["GroupPart", "LunsNode", "PortalsNode", "completed_storage"]

_ALUA_GROUP: Final = "alua_tg_pt_gp_name"


class GroupPart(Node):
    """A part of one portal group."""

    part: str

    def __init__(self, target: IscsiName, tag: int, parent: Node) -> None:
        self._target = target
        self._tag = tag
        super().__init__(self.part, parent)

    @property
    def group(self) -> PortalGroup:
        """The portal group's configuration."""
        return group_of(self.editor.configuration, self._target, self._tag)


class PortalsNode(GroupPart):
    """The addresses that the group listens on."""

    part = "portals"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for portal in sorted(self.group.portals):
            yield partial(PortalNode, self._target, self._tag, portal, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"Portals: {len(self.group.portals)}", None

    def ui_command_create(self, ip_address: str | None = None, ip_port: str | None = None) -> Node | None:
        """Creates a portal: an address and a port to listen on.

        If the port is omitted, it is 3260; if the address is, every address of the machine, IPv4 and IPv6 (::0). The
        portal that a new group has by default gives way to the first one that is created.

        SEE ALSO
        ========
        delete
        """
        portal = Portal(ip_address or "::0", number(ip_port or "3260", ""))
        self.edit(add_portal, self._target, self._tag, portal)
        if ip_port is None:
            self.say("Using default IP port 3260")
        if ip_address is None:
            self.say("Binding to INADDR_ANY (::0)")
        self.say(f"Created network portal {portal.address}:{portal.port}.")
        return self.created(str(portal))

    def ui_command_delete(self, ip_address: str, ip_port: str) -> None:
        """Deletes the portal with that address and port.

        SEE ALSO
        ========
        create
        """
        self.edit(remove_portal, self._target, self._tag, ip_address, number(ip_port, ""))
        self.say(f"Deleted network portal {ip_address}:{ip_port}")

    def ui_complete_delete(self, parameters: dict[str, str], text: str, current_param: str) -> list[str]:
        """Completes addresses and ports."""
        if current_param == "ip_address":
            found = [portal.address for portal in self.group.portals]
        else:
            address = parameters.get("ip_address", "").strip("[]")
            found = [str(portal.port) for portal in self.group.portals if portal.address == address]
        matching = [word for word in found if word.startswith(text)]
        return [f"{matching[0]} "] if len(matching) == 1 else matching


class PortalNode(Node):
    """One portal."""

    def __init__(self, target: IscsiName, tag: int, portal: Portal, parent: Node) -> None:
        self._target = target
        self._tag = tag
        self._portal = portal
        super().__init__(str(portal), parent)

    def summary(self) -> tuple[str, bool | None]:
        view = self.editor.portal(self._target, self._tag, self._portal)
        if view is None or view.listening:
            return "OK", True
        return f"does not listen: {view.problem or 'not yet'}", False

    def ui_command_info(self) -> None:
        """Displays the portal's address and port, and where it listens."""
        view = self.editor.portal(self._target, self._tag, self._portal)
        portal = self._portal
        values = {"ip_address": portal.address, "port": portal.port, "iser": portal.iser, "offload": portal.offload}
        self.tell({**values, "bound": "" if view is None else view.bound})

    def ui_command_enable_iser(self, boolean: str) -> None:
        """Says that iSER is off: a portal is plain TCP here.

        What a saved configuration of LIO says of it is kept; "boolean" false forgets that.
        """
        self._forget("iSER", boolean, dataclasses.replace(self._portal, iser=False))

    def ui_command_enable_offload(self, boolean: str) -> None:
        """Says that offload is off: a portal is plain TCP here.

        What a saved configuration of LIO says of it is kept; "boolean" false forgets that.
        """
        self._forget("offload", boolean, dataclasses.replace(self._portal, offload=False))

    def _forget(self, what: str, wanted: str, changed: Portal) -> None:
        if boolean(self, wanted, False):
            raise ExecutionError(f"there is no {what} here: a portal is plain TCP")
        self.edit(change_portal, self._target, self._tag, self._portal, changed)
        self.say(f"{what} enable now: False")


class LunsNode(GroupPart):
    """The LUNs of the group."""

    part = "luns"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for lun in self.group.luns:
            yield partial(LunNode, self._target, self._tag, lun.number, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"LUNs: {len(self.group.luns)}", None

    def ui_command_create(
        self, storage_object: str, lun: str | None = None, add_mapped_luns: str | None = None
    ) -> Node | None:
        """Creates a LUN for a storage object.

        "storage_object" is the path of one, like /backstores/fileio/disk01, or a file or a block device, which becomes a
        storage object first. If "lun" is omitted, the lowest free number is used; "lun3" is as good as "3".

        With "add_mapped_luns" true (by default: the global parameter auto_add_mapped_luns), every node ACL gets a
        mapped LUN for it.

        SEE ALSO
        ========
        delete
        """
        store = backstore_for(self, storage_object)
        mapped = boolean(self, add_mapped_luns, self.preference("auto_add_mapped_luns"))
        wanted = None if lun is None else number(lun, "lun")
        is_new = store.key not in self.editor.configuration.backstores

        def step(configuration: Configuration) -> Configuration:
            configuration = with_backstore(configuration, store)
            return add_lun(configuration, self._target, self._tag, store.key, number=wanted, add_mapped_luns=mapped)

        self.edit(step)
        if is_new:
            self.say(f"Created storage object {store.key.name}.")
        created = next(entry.number for entry in self.group.luns if entry.backstore == store.key)
        self.say(f"Created LUN {created}.")
        if mapped:
            self._tell_mappings(created)
        return self.created(f"lun{created}")

    def _tell_mappings(self, created: int) -> None:
        for acl in self.group.node_acls:
            for entry in acl.mapped_luns:
                if entry.tpg_lun == created:
                    self.say(f"Created LUN {created}->{entry.number} mapping in node ACL {acl.name}")

    def ui_command_delete(self, lun: str, force: str | None = None) -> None:
        """Deletes the LUN with that number, and what maps it; "lun3" is as good as "3".

        One that initiators use is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        self.take(force, remove_lun, self._target, self._tag, number(lun, "lun"))
        self.say(f"Deleted LUN {number(lun, 'lun')}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of LUNs."""
        return completed([f"lun{lun.number}" for lun in self.group.luns], text)

    def ui_complete_create(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes storage objects and paths."""
        return completed(completed_storage(self, text), text) if current_param == "storage_object" else []


class LunNode(Node):
    """One LUN."""

    def __init__(self, target: IscsiName, tag: int, lun: int, parent: Node) -> None:
        self._target = target
        self._tag = tag
        self._lun = lun
        super().__init__(f"lun{lun}", parent)
        self.write_group("alua", self._set_alua)
        self.define_config_group_param("alua", _ALUA_GROUP, "string", "The ALUA group of its storage object.")

    @property
    def lun(self) -> Lun:
        """Its configuration."""
        return lun_of(group_of(self.editor.configuration, self._target, self._tag), self._lun)

    def _effective_group(self) -> str:
        """The ALUA group that it names, if there is such a group."""
        store = self.editor.configuration.backstores.get(self.lun.backstore)
        known = {group.name for group in store.alua_groups} if store else set()
        return self.lun.alua_group if self.lun.alua_group in known else DEFAULT_ALUA_GROUP

    def _set_alua(self, values: Mapping[str, str]) -> None:
        self.edit(set_lun_alua_group, self._target, self._tag, self._lun, values[_ALUA_GROUP])

    def ui_getgroup_alua(self, name: str) -> str:
        """The value of a parameter: there is one."""
        assert name == _ALUA_GROUP
        return self._effective_group()

    def summary(self) -> tuple[str, bool | None]:
        key = self.lun.backstore
        store = self.editor.configuration.backstores.get(key)
        if store is None:
            return "BROKEN STORAGE LINK", False
        path = f" ({store.path})" if store.path else ""
        view = self.editor.backstore(key)
        runs = view is None or not view.problem
        return f"{key.kind}/{key.name}{path} ({self._effective_group()}){'' if runs else ' does not run'}", runs

    def ui_command_info(self) -> None:
        """Displays the LUN's storage object and its ALUA group."""
        lun = self.lun
        self.tell(
            {
                "alias": lun.alias,
                _ALUA_GROUP: self._effective_group(),
                "index": lun.number,
                "storage_object": lun.backstore,
            }
        )


def completed_storage(node: Node, text: str) -> list[str]:
    """The storage objects and paths that may be meant."""
    return [*map(str, sorted(node.editor.configuration.backstores)), *completed_path(text, devices=True)]
