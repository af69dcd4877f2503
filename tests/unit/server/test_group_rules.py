import dataclasses
import math
from typing import Any

import pytest

from isthmus.config.model import (
    Account,
    BackstoreKey,
    Chap,
    DiscoveryAuthentication,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
)
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Keepalive
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.server.group_rules import GroupRules, discovery_authentication
from isthmus.target.access import Standing
from tests.support.scsi import make_unit
from tests.support.visitors import visitor

HOST = IscsiName("iqn.2026-01.com.example:host")
STRANGER = IscsiName("iqn.2026-01.com.example:stranger")
KEYS = (BackstoreKey("ramdisk", "a"), BackstoreKey("ramdisk", "b"))
UNITS = {KEYS[0]: make_unit(), KEYS[1]: make_unit()}


def rules(*acls: NodeAcl, find: Any = UNITS.get, **fields: Any) -> GroupRules:
    """Of a group with two LUNs."""
    luns = tuple(Lun(number=number, backstore=key) for number, key in enumerate(KEYS))
    return GroupRules(PortalGroup(tag=1, luns=luns, node_acls=acls, **fields), find)


def seen(group: GroupRules, name: IscsiName) -> dict[int, tuple[LogicalUnit, bool]]:
    """What an initiator sees: the unit and whether it may only read."""
    return {lun: (mapping.logical_unit, mapping.read_only) for lun, mapping in group.of(visitor(name)).mappings.items()}


def refused(group: GroupRules, name: IscsiName) -> LoginStatus:
    """With which status."""
    with pytest.raises(LoginRefused) as caught:
        group.of(visitor(name))
    return caught.value.status


def test_only_who_has_a_node_acl_gets_in() -> None:
    """And sees the LUNs that are mapped for it, by their own numbers."""
    group = rules(NodeAcl(name=HOST, mapped_luns=(MappedLun(number=5, tpg_lun=1, write_protect=True),)))
    assert seen(group, HOST) == {5: (UNITS[KEYS[1]], True)}
    assert refused(group, STRANGER) is LoginStatus.AUTHORIZATION_FAILURE
    assert not group.of(visitor(HOST)).dynamic


@pytest.mark.parametrize("protect", [0, 1])
def test_demo_mode_shows_everything(protect: int) -> None:
    """To read or to write, as the attribute says; a node ACL counts before it."""
    attributes = {"generate_node_acls": 1, "demo_mode_write_protect": protect}
    group = rules(NodeAcl(name=HOST), attributes=attributes)
    assert seen(group, STRANGER) == {0: (UNITS[KEYS[0]], bool(protect)), 1: (UNITS[KEYS[1]], bool(protect))}
    assert group.of(visitor(STRANGER)).dynamic
    assert seen(group, HOST) == {}


def test_prod_mode_protects_those_with_a_node_acl() -> None:
    """While others are let in as well."""
    acl = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=0, tpg_lun=0),))
    assert seen(rules(acl, attributes={"prod_mode_write_protect": 1}), HOST)[0][1] is False
    both = {"prod_mode_write_protect": 1, "generate_node_acls": 1}
    assert seen(rules(acl, attributes=both), HOST)[0][1] is True


def test_a_disk_that_does_not_run_is_not_seen() -> None:
    """The others are."""
    group = rules(attributes={"generate_node_acls": 1}, find={KEYS[1]: UNITS[KEYS[1]]}.get)
    assert list(seen(group, STRANGER)) == [1]


def test_a_disabled_group_is_closed_to_everybody() -> None:
    """Whoever has a node ACL, too."""
    assert refused(rules(NodeAcl(name=HOST), enable=False), HOST) is LoginStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize(
    ("attributes", "stranger", "host"),
    [
        ({}, True, True),
        ({"demo_mode_discovery": 0}, False, True),
        ({"demo_mode_discovery": 0, "generate_node_acls": 1}, True, True),
    ],
)
def test_who_is_told_in_discovery(attributes: dict[str, int | str], stranger: bool, host: bool) -> None:
    """As LIO does it."""
    group = rules(NodeAcl(name=HOST), attributes=attributes)
    assert (group.discoverable(visitor(STRANGER)), group.discoverable(visitor(HOST))) == (stranger, host)


def test_discovery_of_a_disabled_group() -> None:
    """It is not told of, unless the attribute says so."""
    assert not rules(enable=False).discoverable(visitor(HOST))
    assert rules(enable=False, attributes={"tpg_enabled_sendtargets": 0}).discoverable(visitor(HOST))


OWN = Chap(userid="host", password="the host's own", mutual_userid="target", mutual_password="the target's")
COMMON = Chap(userid="all", password="everybody's own")


def test_credentials_are_those_of_the_node_acl_or_else_of_the_group() -> None:
    """A name that is not theirs has no secret."""
    group = rules(
        NodeAcl(name=HOST, chap=OWN),
        NodeAcl(name=STRANGER),
        attributes={"authentication": 1},
        chap=COMMON,
    )
    host, stranger = group.of(visitor(HOST)).authentication, group.of(visitor(STRANGER)).authentication
    assert host.required
    assert host.lookup is not None
    assert (host.lookup("host"), host.lookup("all")) == (b"the host's own", None)
    assert (host.mutual_user, host.mutual_secret) == ("target", b"the target's")
    assert stranger.lookup is not None
    assert (stranger.lookup("all"), stranger.mutual_secret) == (b"everybody's own", None)


@pytest.mark.parametrize(
    ("fields", "required", "offered"),
    [
        ({"chap": COMMON}, False, True),
        ({}, False, False),
        ({"chap": COMMON, "parameters": {"AuthMethod": "None"}}, False, False),
        ({"chap": COMMON, "parameters": {"AuthMethod": "CHAP"}}, True, True),
        ({"attributes": {"authentication": 1}}, True, True),
    ],
)
def test_when_chap_is_asked_for(fields: dict[str, Any], required: bool, offered: bool) -> None:
    """By the attribute, or by a list of methods without None; without credentials that lets nobody in."""
    authentication = rules(NodeAcl(name=HOST), **fields).of(visitor(HOST)).authentication
    assert (authentication.required, authentication.lookup is not None) == (required, offered)


def test_discovery_credentials_count_when_they_are_switched_on() -> None:
    """Not before."""
    assert not discovery_authentication(DiscoveryAuthentication(chap=COMMON)).required
    on = discovery_authentication(DiscoveryAuthentication(enable=True, chap=COMMON))
    assert on.required
    assert on.lookup is not None
    assert on.lookup("all") == b"everybody's own"


def test_parameters_are_what_is_offered() -> None:
    """Each under the name of its key; LIO's defaults where nothing is said."""
    offers = rules(NodeAcl(name=HOST)).of(visitor(HOST)).offers
    assert (offers.max_recv_data_segment_length, offers.initial_r2t, offers.max_connections) == (8192, True, 1)
    parameters = {
        "HeaderDigest": "CRC32C",
        "DataDigest": "None",
        "MaxConnections": 4,
        "InitialR2T": "No",
        "ImmediateData": "No",
        "MaxRecvDataSegmentLength": 65536,
        "MaxXmitDataSegmentLength": 4096,
        "MaxBurstLength": 131072,
        "FirstBurstLength": 32768,
        "DefaultTime2Wait": 5,
        "DefaultTime2Retain": 60,
        "MaxOutstandingR2T": 8,
        "TargetAlias": "the array",
    }
    access = rules(NodeAcl(name=HOST), parameters=parameters).of(visitor(HOST))
    offers = access.offers
    assert (offers.header_digest, offers.data_digest, offers.max_connections) == (("CRC32C",), ("None",), 4)
    assert (offers.initial_r2t, offers.immediate_data, offers.max_recv_data_segment_length) == (False, False, 65536)
    assert (offers.max_burst_length, offers.first_burst_length) == (131072, 32768)
    assert (offers.default_time2wait, offers.default_time2retain, offers.max_outstanding_r2t) == (5, 60, 8)
    assert (access.max_xmit_data_segment_length, access.alias) == (4096, "the array")


def test_times_and_depths() -> None:
    """Of the group, and of the node ACL."""
    acl = NodeAcl(name=HOST, attributes={"nopin_timeout": 5, "nopin_response_timeout": 7})
    access = rules(acl, attributes={"default_cmdsn_depth": 16, "login_timeout": 30}).of(visitor(HOST))
    assert (access.command_window, access.login_timeout) == (16, 30.0)
    assert access.keepalive == Keepalive(ping_after=5.0, lost_after=12.0, data_out_within=15.0)


def test_any_of_several_users_may_log_in() -> None:
    """Each with its own secret, whatever bytes that is made of (tgt, SCST)."""
    others = (Account("bob", "b\udcffd"), Account("carol", "c#'$(x)"))
    group = rules(
        attributes={"authentication": 1, "generate_node_acls": 1},
        chap=Chap(userid="alice", password="a secret", others=others),
    )
    lookup = group.of(visitor(STRANGER)).authentication.lookup
    assert lookup is not None
    found = {name: lookup(name) for name in ("alice", "bob", "carol", "dave")}
    assert found == {"alice": b"a secret", "bob": b"b\xffd", "carol": b"c#'$(x)", "dave": None}


def test_who_was_let_in_once_may_come_back() -> None:
    """While the portal group keeps what it has learned, and no longer; strangers stay out."""
    group = rules(attributes={"generate_node_acls": 1, "cache_dynamic_acls": 1})
    group.admitted(visitor(STRANGER))
    for attributes, back in (({"cache_dynamic_acls": 1, "demo_mode_discovery": 0}, True), ({}, False)):
        group.settings = dataclasses.replace(group.settings, attributes=attributes)
        if back:
            assert group.of(visitor(STRANGER)).dynamic
            assert (group.discoverable(visitor(STRANGER)), group.discoverable(visitor(HOST))) == (True, False)
        else:
            assert refused(group, STRANGER) is LoginStatus.AUTHORIZATION_FAILURE
        assert refused(group, HOST) is LoginStatus.AUTHORIZATION_FAILURE


def test_a_node_acl_may_ask_for_more_or_less_than_its_group() -> None:
    """CHAP, and the depth of the command window."""
    strict = NodeAcl(name=HOST, attributes={"authentication": 1, "cmdsn_depth": 5})
    assert rules(strict).of(visitor(HOST)).authentication.required
    assert rules(strict).of(visitor(HOST)).command_window == 5
    loose = NodeAcl(name=HOST, attributes={"authentication": 0})
    group = rules(loose, NodeAcl(name=STRANGER), attributes={"authentication": 1})
    assert (group.of(visitor(HOST)).authentication.required, group.of(visitor(STRANGER)).authentication.required) == (
        False,
        True,
    )


def test_silence_that_nobody_asks_about() -> None:
    """nopin_timeout 0: no ping, and nobody is lost for want of an answer."""
    patient = rules(NodeAcl(name=HOST, attributes={"nopin_timeout": 0})).keepalive(HOST)
    assert (patient.ping_after, patient.lost_after) == (math.inf, math.inf)


OPEN = {"generate_node_acls": 1}
WEB = InitiatorGroup(
    name="web",
    initiators=("iqn.2026-01.com.example:str*",),
    mapped_luns=(MappedLun(number=9, tpg_lun=1, write_protect=True),),
)
REST = InitiatorGroup(name="rest", initiators=("*",), mapped_luns=(MappedLun(number=0, tpg_lun=0),))


def test_the_first_initiator_group_that_matches_counts() -> None:
    """With its own numbers and protection; who is in a group is not let in by demo mode."""
    group = rules(initiator_groups=(WEB, REST))
    assert seen(group, STRANGER) == {9: (UNITS[KEYS[1]], True)}
    assert seen(group, HOST) == {0: (UNITS[KEYS[0]], False)}
    assert not group.of(visitor(HOST)).dynamic
    assert group.standing(visitor(STRANGER)) == Standing(initiator_group="web")
    assert rules(attributes=OPEN).standing(visitor(STRANGER)) == Standing(dynamic=True)
    assert rules(NodeAcl(name=HOST), initiator_groups=(REST,)).standing(visitor(HOST)) == Standing()
    assert seen(rules(initiator_groups=(REST, WEB)), STRANGER) == {0: (UNITS[KEYS[0]], False)}
    assert refused(rules(initiator_groups=(WEB,)), HOST) is LoginStatus.AUTHORIZATION_FAILURE


def test_a_node_acl_comes_before_initiator_groups_and_these_before_demo_mode() -> None:
    """The exact name is meant most of all."""
    group = rules(NodeAcl(name=HOST), initiator_groups=(REST,), attributes={"generate_node_acls": 1})
    assert seen(group, HOST) == {}
    assert list(seen(group, STRANGER)) == [0]
    assert group.initiator_group(visitor(HOST)) is None


def test_a_pattern_may_name_the_portal() -> None:
    """As with SCST's per_portal_acl."""
    here = InitiatorGroup(name="here", initiators=(f"{HOST}#192.0.2.1",))
    group = rules(initiator_groups=(here,), attributes={"per_portal_acl": 1})
    assert group.refusal(visitor(HOST, portal_address="192.0.2.1")) == ""
    assert group.refusal(visitor(HOST, portal_address="192.0.2.2")) != ""
    assert rules(initiator_groups=(here,)).refusal(visitor(HOST, portal_address="192.0.2.1")) != ""


def test_demo_mode_may_write_unless_told_otherwise() -> None:
    """Unlike LIO, whose files always say it."""
    assert seen(rules(attributes={"generate_node_acls": 1}), HOST)[0][1] is False


@pytest.mark.parametrize(
    ("attributes", "host", "stranger"),
    [
        ({"allowed_addresses": "192.0.2.0/24"}, True, True),
        ({"allowed_addresses": "192.0.2.8"}, False, False),
        ({"allowed_initiators": "*:host"}, True, False),
        ({"allowed_initiators": "!*:host"}, False, True),
        ({"allowed_initiators": "*:host", "allowed_addresses": "192.0.2.8"}, False, False),
        ({"allowed_initiators": "*:host", "allowed_addresses": "192.0.2.8", "allowed_match": "any"}, True, False),
        ({"allowed_match": "any"}, False, False),
    ],
)
def test_who_is_not_in_the_lists_neither_logs_in_nor_hears_of_the_target(
    attributes: dict[str, int | str], host: bool, stranger: bool
) -> None:
    """Whatever else is configured for it."""
    group = rules(NodeAcl(name=HOST), attributes={**OPEN, **attributes})
    assert (group.refusal(visitor(HOST)) == "", group.refusal(visitor(STRANGER)) == "") == (host, stranger)
    assert (group.discoverable(visitor(HOST)), group.discoverable(visitor(STRANGER))) == (host, stranger)
    if not host:
        assert refused(group, HOST) is LoginStatus.AUTHORIZATION_FAILURE


def test_members_of_an_initiator_group_hear_of_the_target() -> None:
    """Where strangers do not."""
    group = rules(initiator_groups=(WEB,), attributes={"demo_mode_discovery": 0})
    assert (group.discoverable(visitor(HOST)), group.discoverable(visitor(STRANGER))) == (False, True)


def test_logins_are_sent_elsewhere() -> None:
    """For now or for good; IPv6 in brackets."""
    moved = rules(attributes={**OPEN, "redirect_address": "2001:db8::5"}).of(visitor(HOST)).redirection
    assert moved is not None
    assert (moved.address, moved.permanent) == ("[2001:db8::5]:3260", False)
    attributes = {**OPEN, "redirect_address": "san.example", "redirect_port": 860, "redirect_permanent": 1}
    moved = rules(attributes=attributes).of(visitor(HOST)).redirection
    assert moved is not None
    assert (moved.address, moved.permanent) == ("san.example:860", True)
    assert rules(attributes=OPEN).of(visitor(HOST)).redirection is None


def test_limits_of_sessions_are_of_the_group_the_initiator_and_its_group() -> None:
    """Each counts the sessions that it is about."""
    both = InitiatorGroup(name="both", initiators=("*:stranger", "*:guest"), attributes={"max_sessions": 2})
    group = rules(
        NodeAcl(name=HOST, attributes={"max_sessions": 3}), initiator_groups=(both,), attributes={"max_sessions": 5}
    )
    guest = visitor(IscsiName("iqn.2026-01.com.example:guest"))
    everybody = [visitor(HOST), visitor(STRANGER), guest]

    def counted(name: IscsiName) -> list[tuple[int, list[bool]]]:
        limits = group.of(visitor(name)).session_limits
        return [(limit.maximum, [limit.concerns(other) for other in everybody]) for limit in limits]

    assert counted(HOST) == [(5, [True, True, True]), (3, [True, False, False])]
    assert counted(STRANGER) == [(5, [True, True, True]), (2, [False, True, True])]
    assert rules(NodeAcl(name=HOST)).of(visitor(HOST)).session_limits == ()


def test_rules_can_be_tried_before_they_count() -> None:
    """The running ones stay as they are."""
    group = rules(attributes=OPEN)
    assert group.with_settings(PortalGroup(tag=1)).refusal(visitor(HOST)) != ""
    assert group.refusal(visitor(HOST)) == ""


def test_nop_settings_of_the_group() -> None:
    """For who has no node ACL of its own (tgt): so often it is asked, and so many answers may be missing."""
    group = rules(NodeAcl(name=HOST), attributes={"generate_node_acls": 1, "nop_interval": 5, "nop_count": 3})
    asked = group.keepalive(STRANGER)
    assert (asked.ping_after, asked.lost_after) == (5.0, 20.0)
    assert group.keepalive(HOST).ping_after == 15.0
