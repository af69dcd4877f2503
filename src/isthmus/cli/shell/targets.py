"""`/iscsi`: targets and their portal groups."""

import platform
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from isthmus import __version__
from isthmus.cli.shell.access import LunsNode, PortalsNode
from isthmus.cli.shell.acls import AclsNode
from isthmus.cli.shell.initiator_groups import InitiatorGroupsNode
from isthmus.cli.shell.node import Node, SettingsGroup, completed, number
from isthmus.config.model import Chap, Configuration, PortalGroup
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS, Value
from isthmus.management.target_edits import (
    DEFAULT_PORTAL,
    add_portal,
    create_portal_group,
    create_target,
    delete_portal_group,
    delete_target,
    group_of,
    set_discovery_authentication,
    set_group_attributes,
    set_group_chap,
    set_group_enabled,
    set_group_parameters,
    target_of,
)
from isthmus.names import IscsiName

__all__ = ["IscsiNode", "generated_name"]

CHAP_KEYS = ("userid", "password", "mutual_userid", "mutual_password")


class IscsiNode(Node):
    """Every target."""

    def __init__(self, parent: Node) -> None:
        super().__init__("iscsi", parent)
        self.write_group("discovery_auth", self._set_discovery)
        for key in CHAP_KEYS:
            self.define_config_group_param("discovery_auth", key, "string", f"The {key} of discovery sessions.")
        self.define_config_group_param("discovery_auth", "enable", "bool", "Require CHAP for discovery.")

    def make_children(self) -> Iterator[Callable[[], object]]:
        for name in sorted(self.editor.configuration.targets):
            yield partial(TargetNode, name, self)

    def summary(self) -> tuple[str, bool | None]:
        discovery = self.editor.configuration.discovery
        parts, health = [], None
        if discovery.enable:
            parts.append("mutual disc auth" if discovery.chap.mutual_userid else "1-way disc auth")
            health = bool(discovery.chap.userid and discovery.chap.password)
        parts.append(f"Targets: {len(self.editor.configuration.targets)}")
        return ", ".join(parts), health

    def ui_getgroup_discovery_auth(self, key: str) -> Any:
        """The value of a setting."""
        discovery = self.editor.configuration.discovery
        return discovery.enable if key == "enable" else getattr(discovery.chap, key)

    def _set_discovery(self, values: Mapping[str, Any]) -> None:
        texts = {key: str(value) for key, value in values.items() if key != "enable"}
        self.edit(set_discovery_authentication, texts, enable=values.get("enable"))

    def ui_command_create(self, wwn: str | None = None) -> Node | None:
        """Creates a new target, with a portal group. If "wwn" is omitted, a name is made up.

        SEE ALSO
        ========
        delete
        """
        name = IscsiName(wwn) if wwn else generated_name()
        default_portal = DEFAULT_PORTAL if self.preference("auto_add_default_portal") else None
        self.edit(create_target, name, default_portal=default_portal, enabled=self.preference("auto_enable_tpgt"))
        self.say(f"Created target {name}.")
        self.say("Created TPG 1.")
        if default_portal:
            self.say("Global pref auto_add_default_portal=true")
            self.say(
                f"Created default portal listening on all IPs ({default_portal.address}), port {default_portal.port}."
            )
        return self.created(name, "tpg1")

    def ui_command_delete(self, wwn: str, force: str | None = None) -> None:
        """Deletes the target and all in it; storage objects stay.

        While initiators are logged in, that is refused, unless "force" is true: then their sessions end.

        SEE ALSO
        ========
        create
        """
        self.take(force, delete_target, IscsiName(wwn))
        self.say(f"Deleted Target {wwn}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of targets."""
        return completed([str(name) for name in sorted(self.editor.configuration.targets)], text)

    def ui_command_info(self) -> None:
        """Displays what this fabric is."""
        self.shell.con.display("Fabric module name: iscsi")
        self.shell.con.display("Allowed WWN types: iqn, naa, eui")
        self.shell.con.display("Fabric module features: discovery_auth, acls, auth, nps, tpgts")

    def ui_command_version(self) -> None:
        """Displays whose fabric this is."""
        self.shell.con.display(f"Target fabric module iscsi: isthmus {__version__}")


class TargetNode(Node):
    """One target."""

    def __init__(self, name: IscsiName, parent: Node) -> None:
        self._target = name
        super().__init__(str(name), parent)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for group in target_of(self.editor.configuration, self._target).portal_groups:
            yield partial(GroupNode, self._target, group.tag, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"TPGs: {len(target_of(self.editor.configuration, self._target).portal_groups)}", None

    def ui_command_create(self, tag: str | None = None) -> Node | None:
        """Creates a portal group. "tag" is a number, which "tpg" may precede; if it is omitted, the next free one is used.

        SEE ALSO
        ========
        delete
        """
        wanted = None if tag is None else number(tag, "tpg")
        before = self._tags()
        listens = self.preference("auto_add_default_portal")

        def step(configuration: Configuration) -> Configuration:
            enabled = self.preference("auto_enable_tpgt")
            created = create_portal_group(configuration, self._target, wanted, enabled=enabled)
            groups = target_of(created, self._target).portal_groups
            if len(groups) > 1 or not listens:
                return created
            return add_portal(created, self._target, groups[0].tag, DEFAULT_PORTAL)

        self.edit(step)
        (created,) = self._tags() - before
        self.say(f"Created TPG {created}.")
        if listens and before:
            self.say("Default portal not created, TPGs within a target cannot share ip:port.")
        elif listens:
            where = f"({DEFAULT_PORTAL.address}), port {DEFAULT_PORTAL.port}"
            self.say(f"Created default portal listening on all IPs {where}.")
        return self.created(f"tpg{created}")

    def _tags(self) -> set[int]:
        return {group.tag for group in target_of(self.editor.configuration, self._target).portal_groups}

    def ui_command_delete(self, tag: str, force: str | None = None) -> None:
        """Deletes the portal group with that tag and all in it.

        While initiators are logged in, that is refused, unless "force" is true: then their sessions end.

        SEE ALSO
        ========
        create
        """
        self.take(force, delete_portal_group, self._target, number(tag, "tpg"))
        self.say(f"Deleted TPGT {number(tag, 'tpg')}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes tags."""
        return completed([str(tag) for tag in sorted(self._tags())], text)

    def ui_command_info(self) -> None:
        """Displays the target's name and its fabric."""
        self.tell({"fabric": "iscsi", "wwn": self._target})


class GroupNode(Node):
    """One portal group."""

    def __init__(self, target: IscsiName, tag: int, parent: Node) -> None:
        self._target = target
        self._tag = tag
        super().__init__(f"tpg{tag}", parent)
        self._attributes = SettingsGroup(
            self,
            "attribute",
            TPG_ATTRIBUTES,
            lambda: self.group.attributes,
            lambda values: self.edit(set_group_attributes, target, tag, values),
        )
        self._parameters = SettingsGroup(
            self,
            "parameter",
            TPG_PARAMETERS,
            lambda: self.group.parameters,
            lambda values: self.edit(set_group_parameters, target, tag, values),
        )
        self.write_group("auth", lambda values: self.edit(set_group_chap, target, tag, values))
        for key in CHAP_KEYS:
            self.define_config_group_param("auth", key, "string", f"The {key} of initiators without a node ACL.")

    @property
    def group(self) -> PortalGroup:
        """Its configuration."""
        return group_of(self.editor.configuration, self._target, self._tag)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for make in (AclsNode, InitiatorGroupsNode, LunsNode, PortalsNode):
            yield partial(make, self._target, self._tag, self)

    def summary(self) -> tuple[str, bool | None]:
        group = self.group
        if not group.enable:
            return "disabled", False
        attributes = TPG_ATTRIBUTES.with_defaults(group.attributes)
        parts = ["gen-acls" if attributes["generate_node_acls"] else "no-gen-acls"]
        if not attributes["authentication"]:
            return ", ".join([*parts, "no-auth"]), None
        if not attributes["generate_node_acls"]:
            return ", ".join([*parts, "auth per-acl"]), None
        parts.append("tpg-auth, mutual auth" if group.chap.mutual_userid else "tpg-auth, 1-way auth")
        return ", ".join(parts), bool(group.chap.userid and group.chap.password)

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_getgroup_parameter(self, parameter: str) -> Value:
        """The value of a parameter."""
        return self._parameters.get(parameter)

    def ui_getgroup_auth(self, key: str) -> str:
        """A CHAP name, or whether a secret is set."""
        return chap_text(self.group.chap, key)

    def ui_command_enable(self) -> None:
        """Lets initiators log in.

        SEE ALSO
        ========
        disable status
        """
        if self.group.enable:
            self.say("The TPGT is already enabled.")
            return
        self.edit(set_group_enabled, self._target, self._tag, enabled=True)
        self.say("The TPGT has been enabled.")

    def ui_command_disable(self) -> None:
        """Lets nobody log in; who is logged in is logged out.

        SEE ALSO
        ========
        enable status
        """
        if not self.group.enable:
            self.say("The TPGT is already disabled.")
            return
        self.edit(set_group_enabled, self._target, self._tag, enabled=False)
        self.say("The TPGT has been disabled.")

    def ui_command_info(self) -> None:
        """Displays the group's tag, whether it is enabled, and CHAP names; a secret never shows."""
        group = self.group
        values = {"chap_userid": group.chap.userid, "chap_mutual_userid": group.chap.mutual_userid}
        self.tell({"tag": group.tag, "enable": group.enable, **values})


def chap_text(chap: Chap, key: str) -> str:
    """A CHAP name; of a secret only what the daemon lets out, which is that there is one."""
    return str(getattr(chap, key))


def generated_name() -> IscsiName:
    """A name as LIO makes them up: the host's, the processor's, and 12 random hex digits."""
    host = re.sub(r"[^a-z0-9-]", "-", socket.gethostname().split(".")[0].lower()).strip("-") or "localhost"
    machine = platform.machine().replace("_", "") or "unknown"
    return IscsiName(f"iqn.2003-01.org.linux-iscsi.{host}.{machine.lower()}:sn.{secrets.token_hex(6)}")
