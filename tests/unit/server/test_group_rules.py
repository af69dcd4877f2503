from typing import Any

import pytest

from isthmus.config.model import BackstoreKey, Chap, DiscoveryAuthentication, Lun, MappedLun, NodeAcl, PortalGroup
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Keepalive
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.server.group_rules import GroupRules, discovery_authentication
from tests.support.scsi import make_unit

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
    return {lun: (mapping.logical_unit, mapping.read_only) for lun, mapping in group.of(name).mappings.items()}


def refused(group: GroupRules, name: IscsiName) -> LoginStatus:
    """With which status."""
    with pytest.raises(LoginRefused) as caught:
        group.of(name)
    return caught.value.status


def test_only_who_has_a_node_acl_gets_in() -> None:
    """And sees the LUNs that are mapped for it, by their own numbers."""
    group = rules(NodeAcl(name=HOST, mapped_luns=(MappedLun(number=5, tpg_lun=1, write_protect=True),)))
    assert seen(group, HOST) == {5: (UNITS[KEYS[1]], True)}
    assert refused(group, STRANGER) is LoginStatus.AUTHORIZATION_FAILURE
    assert not group.of(HOST).dynamic


@pytest.mark.parametrize("protect", [0, 1])
def test_demo_mode_shows_everything(protect: int) -> None:
    """To read or to write, as the attribute says; a node ACL counts before it."""
    attributes = {"generate_node_acls": 1, "demo_mode_write_protect": protect}
    group = rules(NodeAcl(name=HOST), attributes=attributes)
    assert seen(group, STRANGER) == {0: (UNITS[KEYS[0]], bool(protect)), 1: (UNITS[KEYS[1]], bool(protect))}
    assert group.of(STRANGER).dynamic
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
    assert (group.discoverable(STRANGER), group.discoverable(HOST)) == (stranger, host)


def test_discovery_of_a_disabled_group() -> None:
    """It is not told of, unless the attribute says so."""
    assert not rules(enable=False).discoverable(HOST)
    assert rules(enable=False, attributes={"tpg_enabled_sendtargets": 0}).discoverable(HOST)


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
    host, stranger = group.of(HOST).authentication, group.of(STRANGER).authentication
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
    authentication = rules(NodeAcl(name=HOST), **fields).of(HOST).authentication
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
    offers = rules(NodeAcl(name=HOST)).of(HOST).offers
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
    access = rules(NodeAcl(name=HOST), parameters=parameters).of(HOST)
    offers = access.offers
    assert (offers.header_digest, offers.data_digest, offers.max_connections) == (("CRC32C",), ("None",), 4)
    assert (offers.initial_r2t, offers.immediate_data, offers.max_recv_data_segment_length) == (False, False, 65536)
    assert (offers.max_burst_length, offers.first_burst_length) == (131072, 32768)
    assert (offers.default_time2wait, offers.default_time2retain, offers.max_outstanding_r2t) == (5, 60, 8)
    assert (access.max_xmit_data_segment_length, access.alias) == (4096, "the array")


def test_times_and_depths() -> None:
    """Of the group, and of the node ACL."""
    acl = NodeAcl(name=HOST, attributes={"nopin_timeout": 5, "nopin_response_timeout": 7})
    access = rules(acl, attributes={"default_cmdsn_depth": 16, "login_timeout": 30}).of(HOST)
    assert (access.command_window, access.login_timeout) == (16, 30.0)
    assert access.keepalive == Keepalive(ping_after=5.0, lost_after=12.0)
