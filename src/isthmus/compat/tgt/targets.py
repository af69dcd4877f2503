"""What tgtadm does to targets, as functions from one configuration to the next."""

import dataclasses
import re
from collections.abc import Callable
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.parameters import named_parameters
from isthmus.compat.tgt.places import TID, Surroundings, group_of, target_by_tid, with_group, with_options, with_target
from isthmus.compat.tgt.portals import tgt_portals
from isthmus.compat.tgt.session_keys import numeral, session_key
from isthmus.compat.tgt.units import without_orphans
from isthmus.compat.tgt.wire import Request
from isthmus.config.access_lists import canonical_addresses, canonical_pattern
from isthmus.config.model import Configuration, PortalGroup, Target
from isthmus.config.settings import TPG_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = [
    "ADDRESSES",
    "INITIATORS",
    "NOP_COUNT",
    "NOP_INTERVAL",
    "bind",
    "delete_target",
    "new_target",
    "rules_of",
    "unbind",
    "update_target",
]

ADDRESSES: Final = "allowed_addresses"
INITIATORS: Final = "allowed_initiators"
NOP_INTERVAL: Final = "nop_interval"
NOP_COUNT: Final = "nop_count"
_NAME: Final = re.compile(r"[A-Za-z0-9:.\-]+")
_STATES: Final = {"ready": True, "offline": False}
_REDIRECTS: Final = {
    "RedirectAddress": "tgt_redirect_address",
    "RedirectPort": "tgt_redirect_port",
    "RedirectReason": "tgt_redirect_reason",
}
_REASONS: Final = ("Temporary", "Permanent")


def new_target(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """One more target, ready, that nobody may log in to yet."""
    text = named_parameters(request.text, "targetname").get("targetname", "")
    if not _NAME.fullmatch(text) or request.tid <= 0:
        raise Refused(Status.INVALID_REQUEST, f"{text!r} cannot name a target")
    try:
        name = IscsiName(text)
    except ConfigurationError as error:
        raise Refused(Status.INVALID_REQUEST, str(error)) from None
    if request.tid in around.tids.tids(configuration) or name in configuration.targets:
        raise Refused(Status.TARGET_EXISTS)
    nops: dict[str, Value] = {
        key: value for key in (NOP_INTERVAL, NOP_COUNT) if (value := configuration.options.get(f"tgt_{key}"))
    }
    group = PortalGroup(
        tag=1,
        attributes={
            "generate_node_acls": 1,
            "demo_mode_write_protect": 0,
            "allowed_match": "any",
            "default_cmdsn_depth": 128,
            **nops,
        },
        parameters={"HeaderDigest": "None", "DataDigest": "None", "TargetAlias": ""},
        portals=tgt_portals(configuration) or (),
    )
    return with_target(configuration, Target(name=name, portal_groups=(group,), options={TID: request.tid}))


def delete_target(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Without the target, and without the disks that tgtadm made for it."""
    gone = target_by_tid(configuration, request.tid, around.tids)
    left = {name: target for name, target in configuration.targets.items() if name != gone.name}
    return without_orphans(dataclasses.replace(configuration, targets=left), gone)


# -- Who may log in ----------------------------------------------------------------------------------------------------


def rules_of(group: PortalGroup) -> tuple[str, ...]:
    """Who may log in, as it is shown: addresses, then names. A group without lists, that takes everybody, has ALL."""
    addresses, names = (_listed(group, key) for key in (ADDRESSES, INITIATORS))
    if not addresses and not names and group.attributes.get("allowed_match") != "any":
        return ("ALL",) if group.attributes.get("generate_node_acls") else tuple(acl.name for acl in group.node_acls)
    return (*addresses, *names)


def bind(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Let in who comes from an address, or has a name."""

    def added(present: tuple[str, ...], entry: str) -> tuple[str, ...]:
        if entry in present:
            raise Refused(Status.ACCESS_RULE_EXISTS)
        return (*present, entry)

    return _with_rule(configuration, request, around, added)


def unbind(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Do not any more."""

    def removed(present: tuple[str, ...], entry: str) -> tuple[str, ...]:
        if entry not in present:
            raise Refused(Status.NO_ACCESS_RULE)
        return tuple(known for known in present if known != entry)

    return _with_rule(configuration, request, around, removed)


def _with_rule(
    configuration: Configuration,
    request: Request,
    around: Surroundings,
    change: Callable[[tuple[str, ...], str], tuple[str, ...]],
) -> Configuration:
    target = target_by_tid(configuration, request.tid, around.tids)
    if request.text is None:
        raise Refused(Status.INVALID_REQUEST, "SCSI hosts cannot be bound here")
    group = group_of(target)
    found = named_parameters(request.text, "initiator-address", "initiator-name")
    for text in found.values():
        key, entry = _rule(text)
        entries = ",".join(change(_listed(group, key), entry))
        attributes = {**group.attributes, "allowed_match": "any", "generate_node_acls": 1, key: entries}
        group = dataclasses.replace(group, attributes=attributes)
    return with_group(configuration, target, group)


def _rule(text: str) -> tuple[str, str]:
    """The list that an entry belongs to, and how it stands there.

    `tgt-admin --dump` writes networks as names; none can be one, so they are taken for what they are.
    """
    for key, canonical in ((ADDRESSES, canonical_addresses), (INITIATORS, canonical_pattern)):
        try:
            return key, canonical(text)
        except ValueError:
            continue
    raise Refused(Status.INVALID_REQUEST, f"{text!r} is neither an address nor a name")


def _listed(group: PortalGroup, key: str) -> tuple[str, ...]:
    value = str(group.attributes.get(key, TPG_ATTRIBUTES[key].default))
    return tuple(value.split(",")) if value else ()


# -- Settings ----------------------------------------------------------------------------------------------------------


def update_target(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Change one setting. `state` in any spelling: tgtd takes `State` for a session key that it does not know."""
    name, separator, value = (request.text or "").partition("=")
    if not separator:
        raise Refused(Status.UNSUPPORTED_OPERATION)
    target = target_by_tid(configuration, request.tid, around.tids)
    if name.lower() == "state":
        if value not in _STATES:
            raise Refused(Status.INVALID_REQUEST, f"{value!r} is no state")
        return with_group(configuration, target, dataclasses.replace(group_of(target), enable=_STATES[value]))
    if name in _REDIRECTS:
        return _with_redirect(configuration, target, name, value)
    if name in {NOP_INTERVAL, NOP_COUNT}:
        number = numeral(value)
        if number < 0:
            raise Refused(Status.INVALID_REQUEST)
        return _with_attributes(configuration, target, {name: number})
    return _with_session_key(configuration, target, name, value)


def _with_session_key(configuration: Configuration, target: Target, name: str, text: str) -> Configuration:
    key = session_key(name)
    if key is None:
        if name == "RedirectCallback":
            raise Refused(Status.UNSUPPORTED_OPERATION, "no program is run for a login here")
        raise Refused(Status.INVALID_REQUEST, f"there is no session key {name!r}")
    value = key.parsed(text)
    kept = None if key.is_done(value) else value
    target = dataclasses.replace(target, options=with_options(target.options, {key.option: kept}))
    group = group_of(target)
    if key.parameter and (key.done is None or key.range is not None):
        group = dataclasses.replace(group, parameters={**group.parameters, key.parameter: key.effect(value)})
    if key.attribute:
        group = dataclasses.replace(group, attributes={**group.attributes, key.attribute: key.effect(value)})
    return with_group(configuration, target, group)


def _with_redirect(configuration: Configuration, target: Target, name: str, value: str) -> Configuration:
    """Logins are sent elsewhere once an address and a reason are there."""
    if name == "RedirectReason":
        value = next((reason for reason in _REASONS if value.startswith(reason)), "")
        if not value:
            raise Refused(Status.INVALID_REQUEST, f"the reason is {' or '.join(_REASONS)}")
    options = with_options(target.options, {_REDIRECTS[name]: value or None})
    target = dataclasses.replace(target, options=options)
    address, port, reason = (options.get(option, "") for option in _REDIRECTS.values())
    return _with_attributes(
        configuration,
        target,
        {
            "redirect_address": str(address) if reason else "",
            "redirect_port": numeral(str(port)) or TPG_ATTRIBUTES["redirect_port"].default,
            "redirect_permanent": int(reason == "Permanent"),
        },
    )


def _with_attributes(configuration: Configuration, target: Target, values: dict[str, Value]) -> Configuration:
    group = group_of(target)
    try:
        changed = dataclasses.replace(group, attributes={**group.attributes, **values})
    except ConfigurationError as error:
        raise Refused(Status.INVALID_REQUEST, str(error)) from None
    return with_group(configuration, target, changed)
