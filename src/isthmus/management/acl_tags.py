"""Tags of node ACLs: initiators with the same settings under one name (targetcli's `tag` and `untag`)."""

import dataclasses

from isthmus.config.model import KEPT, Configuration, NodeAcl, PortalGroup
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of
from isthmus.management.target_edits import edit_group
from isthmus.names import IscsiName

__all__ = ["label_of", "tag_acls", "tagged", "untag_acls"]


def label_of(acl: NodeAcl) -> str:
    """Under which name the node ACL is shown."""
    return acl.tag or acl.name


def tagged(group: PortalGroup, name: str) -> list[NodeAcl]:
    """The node ACLs with the tag `name`, and the one of the initiator called so; raises `NotFoundError` for none."""
    found = [acl for acl in group.node_acls if name in {acl.tag, acl.name}]
    if not found:
        there = some_of(sorted({label_of(acl) for acl in group.node_acls}))
        raise NotFoundError(f"tpg{group.tag} has no node ACL {name}", f"it has {there}")
    return found


def tag_acls(configuration: Configuration, target: IscsiName, tag: int, name: str, label: str) -> Configuration:
    """With the tag `label` for the node ACLs that `name` means; if others have it already, with their settings.

    Raises `ConfigurationError` where these have secrets: who edits without secrets cannot give them to anybody else.
    """
    if not label or "." in label or "/" in label:
        raise ConfigurationError(f"{label!r} cannot be a tag", "a tag has no dot and no slash, unlike a name")

    def edit(group: PortalGroup) -> PortalGroup:
        joining = tagged(group, name)
        model = next((acl for acl in group.node_acls if acl.tag == label and acl not in joining), None)
        acls = tuple(_joined(acl, label, model) if acl in joining else acl for acl in group.node_acls)
        return dataclasses.replace(group, node_acls=acls)

    return edit_group(configuration, target, tag, edit)


def _joined(acl: NodeAcl, label: str, model: NodeAcl | None) -> NodeAcl:
    if model is None:
        return dataclasses.replace(acl, tag=label)
    if KEPT in {model.chap.password, model.chap.mutual_password, *(user.password for user in model.chap.others)}:
        raise ConfigurationError(
            f"the initiators of {label} have a secret, which cannot be given to {acl.name} unseen",
            "tag it first, and set the secret of all by the tag then",
        )
    return dataclasses.replace(
        acl, tag=label, mapped_luns=model.mapped_luns, attributes=model.attributes, chap=model.chap
    )


def untag_acls(configuration: Configuration, target: IscsiName, tag: int, name: str) -> Configuration:
    """Without the tag of the node ACLs that `name` means; they keep their settings."""

    def edit(group: PortalGroup) -> PortalGroup:
        leaving = tagged(group, name)
        acls = tuple(dataclasses.replace(acl, tag="") if acl in leaving else acl for acl in group.node_acls)
        return dataclasses.replace(group, node_acls=acls)

    return edit_group(configuration, target, tag, edit)
