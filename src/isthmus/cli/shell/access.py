"""What is in a portal group: portals, LUNs, and node ACLs with their mapped LUNs."""

from collections.abc import Callable, Iterator
from functools import partial

from configshell_fb import ExecutionError

from isthmus.cli.shell.backstores import backstore_for, with_backstore
from isthmus.cli.shell.node import Node, SettingsGroup, boolean, number
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, MappedLun, NodeAcl, Portal, PortalGroup
from isthmus.config.settings import ACL_ATTRIBUTES, TPG_ATTRIBUTES, Value
from isthmus.management.lun_edits import (
    add_acl,
    add_lun,
    add_mapped_lun,
    remove_acl,
    remove_lun,
    remove_mapped_lun,
    set_acl_attributes,
    set_acl_chap,
    set_acl_tag,
)
from isthmus.management.target_edits import add_portal, group_of, remove_portal
from isthmus.names import IscsiName

__all__ = ["AclsNode", "GroupPart", "LunsNode", "PortalsNode"]

_CHAP_KEYS = ("userid", "password", "mutual_userid", "mutual_password")


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
            yield partial(PortalNode, str(portal), self)

    def summary(self) -> tuple[str, bool | None]:
        return f"Portals: {len(self.group.portals)}", None

    def ui_command_create(self, ip_address: str | None = None, ip_port: str | None = None) -> None:
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

    def summary(self) -> tuple[str, bool | None]:
        return "OK", True


class LunsNode(GroupPart):
    """The LUNs of the group."""

    part = "luns"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for lun in self.group.luns:
            yield partial(LunNode, lun, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"LUNs: {len(self.group.luns)}", None

    def ui_command_create(
        self, storage_object: str, lun: str | None = None, add_mapped_luns: str | None = None
    ) -> None:
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
        matching = [f"lun{lun.number}" for lun in self.group.luns if f"lun{lun.number}".startswith(text)]
        return [f"{matching[0]} "] if len(matching) == 1 else matching


class LunNode(Node):
    """One LUN."""

    def __init__(self, lun: Lun, parent: Node) -> None:
        self._lun = lun
        super().__init__(f"lun{lun.number}", parent)

    def summary(self) -> tuple[str, bool | None]:
        key = self._lun.backstore
        store = self.editor.configuration.backstores.get(key)
        if store is None:
            return "BROKEN STORAGE LINK", False
        path = f" ({store.path})" if store.path else ""
        return f"{key.kind}/{key.name}{path} ({self._lun.alua_group})", True


class AclsNode(GroupPart):
    """Who may log in."""

    part = "acls"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for acl in sorted(self.group.node_acls, key=lambda acl: acl.name):
            yield partial(AclNode, self._target, self._tag, acl.name, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"ACLs: {len(self.group.node_acls)}", None

    def ui_command_create(self, wwn: str, add_mapped_luns: str | None = None) -> None:
        """Creates a node ACL: the initiator of that name may log in.

        With "add_mapped_luns" true (by default: the global parameter auto_add_mapped_luns), it gets a mapped LUN for
        every LUN of the group.

        SEE ALSO
        ========
        delete
        """
        initiator = IscsiName(wwn)
        mapped = boolean(self, add_mapped_luns, self.preference("auto_add_mapped_luns"))
        self.edit(add_acl, self._target, self._tag, initiator, add_mapped_luns=mapped)
        self.say(f"Created Node ACL for {initiator}")
        if mapped:
            for lun in self.group.luns:
                self.say(f"Created mapped LUN {lun.number}.")

    def ui_command_delete(self, wwn: str, force: str | None = None) -> None:
        """Deletes the node ACL of that initiator.

        While it is logged in, that is refused, unless "force" is true: then its session ends.

        SEE ALSO
        ========
        create
        """
        self.take(force, remove_acl, self._target, self._tag, self._named(wwn))
        self.say(f"Deleted Node ACL {wwn}.")

    def ui_command_tag(self, wwn_or_tag: str, new_tag: str) -> None:
        """Gives a node ACL a label, by which it can be named as well.

        SEE ALSO
        ========
        untag
        """
        if "." in new_tag:
            raise ExecutionError("'.' not permitted in tag names.")
        self.edit(set_acl_tag, self._target, self._tag, self._named(wwn_or_tag), new_tag)

    def ui_command_untag(self, wwn_or_tag: str) -> None:
        """Takes the label of a node ACL away.

        SEE ALSO
        ========
        tag
        """
        self.edit(set_acl_tag, self._target, self._tag, self._named(wwn_or_tag), "")

    def _named(self, wwn_or_tag: str) -> IscsiName:
        for acl in self.group.node_acls:
            if acl.tag == wwn_or_tag:
                return acl.name
        return IscsiName(wwn_or_tag)

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of initiators."""
        matching = [str(acl.name) for acl in self.group.node_acls if acl.name.startswith(text)]
        return [f"{matching[0]} "] if len(matching) == 1 else matching


class AclNode(Node):
    """One initiator."""

    def __init__(self, target: IscsiName, tag: int, initiator: IscsiName, parent: Node) -> None:
        self._target = target
        self._tag = tag
        self._initiator = initiator
        super().__init__(str(initiator), parent)
        self._attributes = SettingsGroup(
            self,
            "attribute",
            ACL_ATTRIBUTES,
            lambda: self.acl.attributes,
            lambda values: self.edit(set_acl_attributes, target, tag, initiator, values),
        )
        self.write_group("auth", lambda values: self.edit(set_acl_chap, target, tag, initiator, values))
        for key in _CHAP_KEYS:
            self.define_config_group_param("auth", key, "string", f"The {key} of this initiator.")

    @property
    def acl(self) -> NodeAcl:
        """Its configuration."""
        group = group_of(self.editor.configuration, self._target, self._tag)
        return next(acl for acl in group.node_acls if acl.name == self._initiator)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for mapped in self.acl.mapped_luns:
            yield partial(MappedLunNode, mapped, self)

    def summary(self) -> tuple[str, bool | None]:
        acl = self.acl
        parts = [f"({acl.tag})"] if acl.tag else []
        attributes = group_of(self.editor.configuration, self._target, self._tag).attributes
        health: bool | None = None
        if TPG_ATTRIBUTES.with_defaults(attributes)["authentication"]:
            health = bool(acl.chap.userid and acl.chap.password)
            parts.append("mutual auth" if acl.chap.mutual_userid else "1-way auth")
        parts.append(f"Mapped LUNs: {len(acl.mapped_luns)}")
        return ", ".join(parts), health

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_getgroup_auth(self, key: str) -> str:
        """A CHAP name, or whether a secret is set."""
        return str(getattr(self.acl.chap, key))

    def ui_command_create(self, mapped_lun: str, tpg_lun_or_backstore: str, write_protect: str | None = None) -> None:
        """Maps a LUN of the group for this initiator, as number "mapped_lun".

        "tpg_lun_or_backstore" is the number of a LUN of the group, or a storage object (its path, or a file or device),
        which becomes a LUN first. With "write_protect" true the initiator only reads it.

        SEE ALSO
        ========
        delete
        """
        wanted = number(mapped_lun, "mapped_lun")
        protected = boolean(self, write_protect, False)
        digits = tpg_lun_or_backstore.removeprefix("lun")
        source = int(digits) if digits.isdigit() else backstore_for(self, tpg_lun_or_backstore)
        before = self._luns()

        def step(configuration: Configuration) -> Configuration:
            configuration, tpg_lun = _with_tpg_lun(configuration, self._target, self._tag, source)
            return add_mapped_lun(
                configuration,
                self._target,
                self._tag,
                self._initiator,
                tpg_lun,
                number=wanted,
                write_protect=protected,
            )

        self.edit(step)
        for lun in sorted(self._luns() - before):
            self.say(f"Created LUN {lun}.")
        self.say(f"Created Mapped LUN {wanted}.")

    def _luns(self) -> set[int]:
        return {lun.number for lun in group_of(self.editor.configuration, self._target, self._tag).luns}

    def ui_command_delete(self, mapped_lun: str, force: str | None = None) -> None:
        """Takes the mapped LUN with that number from this initiator.

        While the initiator uses it, that is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        wanted = number(mapped_lun, "mapped_lun")
        self.take(force, remove_mapped_lun, self._target, self._tag, self._initiator, wanted)
        self.say(f"Deleted Mapped LUN {wanted}.")

    def ui_command_info(self) -> None:
        """Displays the CHAP names; a secret never shows."""
        self.shell.con.display(f"wwn: {self._initiator}")
        self.shell.con.display(f"chap_userid: {self.acl.chap.userid}")
        self.shell.con.display(f"chap_mutual_userid: {self.acl.chap.mutual_userid}")


class MappedLunNode(Node):
    """One mapped LUN."""

    def __init__(self, mapped: MappedLun, parent: AclNode) -> None:
        self._mapped = mapped
        self._acl = parent
        super().__init__(f"mapped_lun{mapped.number}", parent)

    def summary(self) -> tuple[str, bool | None]:
        group = group_of(self.editor.configuration, self._acl._target, self._acl._tag)  # noqa: SLF001  its own parent
        lun = next(lun for lun in group.luns if lun.number == self._mapped.tpg_lun)
        mode = "ro" if self._mapped.write_protect else "rw"
        return f"lun{lun.number} {lun.backstore.kind}/{lun.backstore.name} ({mode})", True


def _with_tpg_lun(
    configuration: Configuration, target: IscsiName, tag: int, source: int | Backstore
) -> tuple[Configuration, int]:
    """With `source` as a LUN of the group (a number is one already), and its number."""
    if isinstance(source, int):
        return configuration, source
    present = _numbers(configuration, target, tag)
    if source.key not in present:
        configuration = with_backstore(configuration, source)
        configuration = add_lun(configuration, target, tag, source.key, add_mapped_luns=False)
        present = _numbers(configuration, target, tag)
    return configuration, present[source.key]


def _numbers(configuration: Configuration, target: IscsiName, tag: int) -> dict[BackstoreKey, int]:
    """The LUN of each backstore in the group."""
    return {lun.backstore: lun.number for lun in group_of(configuration, target, tag).luns}
