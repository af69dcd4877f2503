"""tgt's accounts, as functions from one configuration to the next.

An account has a name and a secret, and is of no effect until it is bound: to a target, or to discovery. Any number may be bound
as incoming, by which initiators prove who they are, and one as outgoing, by which the target does.
"""

import dataclasses

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.parameters import named_parameters
from isthmus.compat.tgt.places import Surroundings, group_of, target_by_tid, with_group
from isthmus.compat.tgt.wire import GLOBAL_TID, AccountDirection, Request
from isthmus.config.model import Account, Chap, Configuration, DiscoveryAuthentication, PortalGroup
from isthmus.errors import ConfigurationError

__all__ = ["account_names", "bind_account", "delete_account", "new_account", "unbind_account"]


def _known(configuration: Configuration) -> dict[str, Account]:
    """By name: those that tgtadm made, and those that stand at a target or at discovery."""
    chaps = [configuration.discovery.chap]
    chaps += [group.chap for target in configuration.targets.values() for group in target.portal_groups]
    bound = [account for chap in chaps for account in (*chap.incoming, *_outgoing(chap))]
    known = {account.userid: account for account in configuration.accounts}
    return {**{account.userid: account for account in reversed(bound) if account.userid not in known}, **known}


def _outgoing(chap: Chap) -> tuple[Account, ...]:
    return (Account(chap.mutual_userid, chap.mutual_password),) if chap.mutual_userid and chap.mutual_password else ()


def account_names(configuration: Configuration) -> list[str]:
    """The newest first."""
    return list(reversed(_known(configuration)))


def new_account(configuration: Configuration, request: Request, _around: Surroundings) -> Configuration:
    """One more account, bound nowhere."""
    found = named_parameters(request.text, "user", "password")
    if "user" not in found or "password" not in found:
        raise Refused(Status.INVALID_REQUEST, "an account needs a user and a password")
    if found["user"] in _known(configuration):
        raise Refused(Status.ACCOUNT_EXISTS)
    try:
        account = Account(found["user"], found["password"])
    except ConfigurationError as error:
        raise Refused(Status.INVALID_REQUEST, str(error)) from None
    return dataclasses.replace(configuration, accounts=(*configuration.accounts, account))


def delete_account(configuration: Configuration, request: Request, _around: Surroundings) -> Configuration:
    """Without the account, wherever it is bound."""
    user = _named(configuration, request).userid
    discovery = configuration.discovery
    chap = _without(discovery.chap, user)
    configuration = dataclasses.replace(
        configuration,
        accounts=tuple(account for account in configuration.accounts if account.userid != user),
        discovery=discovery if chap == discovery.chap else _discovery(chap),
    )
    for target in configuration.targets.values():
        groups = tuple(_with_chap(group, _without(group.chap, user)) for group in target.portal_groups)
        targets = {**configuration.targets, target.name: dataclasses.replace(target, portal_groups=groups)}
        configuration = dataclasses.replace(configuration, targets=targets)
    return configuration


def bind_account(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Let the account prove who comes in, or (outgoing) who is logged in to."""
    chap = _chap_at(configuration, request, around)
    account = _named(configuration, request)
    if request.direction == AccountDirection.OUTGOING:
        if chap.mutual_userid:
            raise Refused(Status.OUTGOING_ACCOUNT_EXISTS)
        chap = dataclasses.replace(chap, mutual_userid=account.userid, mutual_password=account.password)
    else:
        if account.userid in {known.userid for known in chap.incoming}:
            raise Refused(Status.ACCOUNT_EXISTS)
        chap = _with_incoming(chap, (*chap.incoming, account))
    return _with_chap_at(configuration, request, around, chap)


def unbind_account(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Do not any more; the account stays."""
    chap = _chap_at(configuration, request, around)
    account = _named(configuration, request)
    if request.direction == AccountDirection.OUTGOING:
        if chap.mutual_userid != account.userid:
            raise Refused(Status.NO_ACCOUNT)
        chap = dataclasses.replace(chap, mutual_userid="", mutual_password="")
    else:
        left = tuple(known for known in chap.incoming if known.userid != account.userid)
        if len(left) == len(chap.incoming):
            raise Refused(Status.NO_ACCOUNT)
        chap = _with_incoming(chap, left)
    kept = dataclasses.replace(configuration, accounts=_with(configuration.accounts, account))
    return _with_chap_at(kept, request, around, chap)


def _with(accounts: tuple[Account, ...], account: Account) -> tuple[Account, ...]:
    return accounts if account.userid in {known.userid for known in accounts} else (*accounts, account)


def _named(configuration: Configuration, request: Request) -> Account:
    user = named_parameters(request.text, "user").get("user")
    if user is None:
        raise Refused(Status.INVALID_REQUEST, "no user is named")
    account = _known(configuration).get(user)
    if account is None:
        raise Refused(Status.NO_ACCOUNT)
    return account


def _chap_at(configuration: Configuration, request: Request, around: Surroundings) -> Chap:
    if request.tid == GLOBAL_TID:
        return configuration.discovery.chap
    return group_of(target_by_tid(configuration, request.tid, around.tids)).chap


def _with_chap_at(configuration: Configuration, request: Request, around: Surroundings, chap: Chap) -> Configuration:
    if request.tid == GLOBAL_TID:
        return dataclasses.replace(configuration, discovery=_discovery(chap))
    target = target_by_tid(configuration, request.tid, around.tids)
    return with_group(configuration, target, _with_chap(group_of(target), chap))


def _discovery(chap: Chap) -> DiscoveryAuthentication:
    return DiscoveryAuthentication(enable=bool(chap.incoming), chap=chap)


def _with_chap(group: PortalGroup, chap: Chap) -> PortalGroup:
    """Whoever has incoming accounts asks for them; otherwise anybody may come, but for initiators with their own."""
    if chap == group.chap:
        return group
    required = bool(chap.incoming) or any(acl.chap.userid for acl in group.node_acls)
    return dataclasses.replace(group, chap=chap, attributes={**group.attributes, "authentication": int(required)})


def _with_incoming(chap: Chap, accounts: tuple[Account, ...]) -> Chap:
    first = accounts[0] if accounts else None
    return dataclasses.replace(
        chap,
        userid=first.userid if first else "",
        password=first.password if first else "",
        others=accounts[1:],
    )


def _without(chap: Chap, user: str) -> Chap:
    chap = _with_incoming(chap, tuple(account for account in chap.incoming if account.userid != user))
    if chap.mutual_userid == user:
        chap = dataclasses.replace(chap, mutual_userid="", mutual_password="")
    return chap
