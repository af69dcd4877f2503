"""Who may log in to a portal group: node ACLs with their mapped LUNs."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec

from configshell_fb import ExecutionError

from isthmus.cli.shell.access import GroupPart, completed_storage
from isthmus.cli.shell.backstores import backstore_for, with_backstore
from isthmus.cli.shell.node import Node, SettingsGroup, boolean, completed, number
from isthmus.config.model import Backstore, BackstoreKey, Configuration, MappedLun, NodeAcl, PortalGroup
from isthmus.config.settings import ACL_ATTRIBUTES, TPG_ATTRIBUTES, Value
from isthmus.management.acl_tags import label_of, tagged, untag_acls
from isthmus.management.alua_edits import lun_of
from isthmus.management.errors import NotFoundError
from isthmus.management.lun_edits import (
    add_acl,
    add_lun,
    add_mapped_lun,
    remove_acl,
    remove_mapped_lun,
    set_acl_attributes,
    set_acl_chap,
)
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName

__all__ = ["AclsNode"]

P = ParamSpec("P")
_CHAP_KEYS: Final = ("userid", "password", "mutual_userid", "mutual_password")


class AclsNode(GroupPart):
    """Who may log in."""

    part = "acls"

    def make_children(self) -> Iterator[Callable[[], object]]:
        for name in sorted({label_of(acl) for acl in self.group.node_acls}):
            yield partial(AclNode, self._target, self._tag, name, self)

    def get_child(self, name: str) -> Any:
        """The child of that name; an initiator with a tag can be named as well."""
        with contextlib.suppress(NotFoundError):
            return super().get_child(label_of(tagged(self.group, name)[0]))
        return super().get_child(name)

    def summary(self) -> tuple[str, bool | None]:
        return f"ACLs: {len(self.group.node_acls)}", None

    def ui_command_create(self, wwn: str, add_mapped_luns: str | None = None) -> Node | None:
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
        return self.created(str(initiator))

    def ui_command_delete(self, wwn: str, force: str | None = None) -> None:
        """Deletes the node ACL of that initiator.

        While it is logged in, that is refused, unless "force" is true: then its session ends.

        SEE ALSO
        ========
        create
        """
        self.take(force, remove_acl, self._target, self._tag, IscsiName(wwn))
        self.say(f"Deleted Node ACL {wwn}.")

    def ui_command_tag(self, wwn_or_tag: str, new_tag: str, force: str | None = None) -> None:
        """Gives one node ACL, or those with a tag, another tag: they are one node of the tree then, by that name.

        What is set there is set for all of them. If other node ACLs have the new tag, these take their settings and
        LUNs. LUNs that they use go only with "force" true.

        SEE ALSO
        ========
        untag
        """
        forced = boolean(self, force, False)
        if wwn_or_tag == new_tag:
            return
        if "." in new_tag:
            raise ExecutionError("'.' not permitted in tag names.")
        report = self.editor.daemon.tag_acls(self._target, self._tag, wwn_or_tag, new_tag, force=forced)
        for warning in report.warnings:
            self.warn(warning)
        self.editor.refresh()

    def ui_command_untag(self, wwn_or_tag: str) -> None:
        """Takes a tag from its node ACLs, or from one; they keep their settings.

        SEE ALSO
        ========
        tag
        """
        self.edit(untag_acls, self._target, self._tag, wwn_or_tag)

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of initiators."""
        return completed([str(acl.name) for acl in self.group.node_acls], text)

    def ui_complete_tag(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes names and tags."""
        names = sorted({label_of(acl) for acl in self.group.node_acls})
        return completed(names, text) if current_param == "wwn_or_tag" else []

    ui_complete_untag = ui_complete_tag


class AclNode(Node):
    """One initiator, or all that have the same tag: what is shown is of the first, what is set is set for each."""

    def __init__(self, target: IscsiName, tag: int, name: str, parent: Node) -> None:
        self._target = target
        self._tag = tag
        super().__init__(name, parent)
        self._attributes = SettingsGroup(
            self,
            "attribute",
            ACL_ATTRIBUTES,
            lambda: self.acl.attributes,
            lambda values: self.edit(self._for_each, set_acl_attributes, values),
        )
        self.write_group("auth", lambda values: self.edit(self._for_each, set_acl_chap, values))
        for key in _CHAP_KEYS:
            self.define_config_group_param("auth", key, "string", f"The {key} of this initiator.")

    @property
    def portal_group(self) -> PortalGroup:
        """Where it is."""
        return group_of(self.editor.configuration, self._target, self._tag)

    @property
    def acls(self) -> list[NodeAcl]:
        """Their configurations."""
        return tagged(self.portal_group, self.name)

    @property
    def acl(self) -> NodeAcl:
        """The configuration of the first."""
        return self.acls[0]

    def _for_each(
        self,
        configuration: Configuration,
        step: Callable[Concatenate[Configuration, IscsiName, int, IscsiName, P], Configuration],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Configuration:
        """With what `step` makes of each of them."""
        for acl in tagged(group_of(configuration, self._target, self._tag), self.name):
            configuration = step(configuration, self._target, self._tag, acl.name, *args, **kwargs)
        return configuration

    def make_children(self) -> Iterator[Callable[[], object]]:
        for mapped in self.acl.mapped_luns:
            yield partial(MappedLunNode, mapped, self)

    def summary(self) -> tuple[str, bool | None]:
        acls = self.acls
        acl, parts = acls[0], []
        if acl.tag:
            parts.append(f"(group of {len(acls)})" if len(acls) > 1 else f"({acl.name})")
        attributes = TPG_ATTRIBUTES.with_defaults(self.portal_group.attributes)
        health: bool | None = None
        if attributes["authentication"]:
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

    def ui_command_create(
        self, mapped_lun: str, tpg_lun_or_backstore: str, write_protect: str | None = None
    ) -> Node | None:
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
        before, seen = self._luns(), {mapped.tpg_lun for mapped in self.acl.mapped_luns}

        def step(configuration: Configuration) -> Configuration:
            configuration, tpg_lun = _with_tpg_lun(configuration, self._target, self._tag, source)
            return self._for_each(configuration, add_mapped_lun, tpg_lun, number=wanted, write_protect=protected)

        self.edit(step)
        for lun in sorted(self._luns() - before):
            self.say(f"Created LUN {lun}.")
        created = next(mapped for mapped in self.acl.mapped_luns if mapped.number == wanted)
        if created.tpg_lun in seen:
            self.warn(f"TPG LUN {created.tpg_lun} already mapped to this NodeACL")
        self.say(f"Created Mapped LUN {wanted}.")
        return self.created(f"mapped_lun{wanted}")

    def _luns(self) -> set[int]:
        return {lun.number for lun in self.portal_group.luns}

    def ui_complete_create(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes LUNs, storage objects and paths."""
        if current_param != "tpg_lun_or_backstore":
            return []
        return completed([*(f"lun{lun}" for lun in sorted(self._luns())), *completed_storage(self, text)], text)

    def ui_command_delete(self, mapped_lun: str, force: str | None = None) -> None:
        """Takes the mapped LUN with that number from this initiator.

        While the initiator uses it, that is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        wanted = number(mapped_lun, "mapped_lun")
        self.take(force, self._for_each, remove_mapped_lun, wanted)
        self.say(f"Deleted Mapped LUN {wanted}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes numbers."""
        return completed([str(mapped.number) for mapped in self.acl.mapped_luns], text)

    def ui_command_info(self) -> None:
        """Displays the CHAP names, and who they are; a secret never shows."""
        acls = self.acls
        chap = acls[0].chap
        self.tell({"chap_userid": chap.userid, "chap_mutual_userid": chap.mutual_userid, "tag": acls[0].tag})
        self.shell.con.display("wwns:")
        for acl in acls:
            self.shell.con.display(str(acl.name))


class MappedLunNode(Node):
    """One mapped LUN."""

    def __init__(self, mapped: MappedLun, parent: AclNode) -> None:
        self._mapped = mapped
        self._acl = parent
        super().__init__(f"mapped_lun{mapped.number}", parent)

    def summary(self) -> tuple[str, bool | None]:
        lun = lun_of(self._acl.portal_group, self._mapped.tpg_lun)
        mode = "ro" if self._mapped.write_protect else "rw"
        return f"lun{lun.number} {lun.backstore.kind}/{lun.backstore.name} ({mode})", True

    def ui_command_info(self) -> None:
        """Displays which LUN it is, and whether the initiator may write."""
        mapped = self._mapped
        values = {"index": mapped.number, "tpg_lun": mapped.tpg_lun, "write_protect": mapped.write_protect}
        self.tell({**values, "alias": mapped.alias})


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
