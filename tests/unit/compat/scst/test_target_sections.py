import dataclasses

import pytest

from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.layout import layout
from isthmus.compat.scst.target_attributes import SESSION_DEFAULTS
from isthmus.compat.scst.target_sections import driver_section
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.config.settings import Value
from isthmus.names import IscsiName

KEY = BackstoreKey("fileio", "d")
NAME = IscsiName("iqn.2026-01.org.example:t")
INITIATOR = IscsiName("iqn.2026-01.org.example:i")
JOE = Chap(userid="joe", password="12charsecret")
ANN = Chap(userid="ann", password="12charsecret")
NO_CHAP, NO_DISCOVERY = Chap(), DiscoveryAuthentication()
LUNS = (Lun(number=0, backstore=KEY),)


def lines(group: PortalGroup | None = None, discovery: DiscoveryAuthentication = NO_DISCOVERY) -> list[str]:
    """The statements of the driver's section, without their indentation."""
    store = Backstore(key=KEY, path="/a", unit_serial="s")
    target = Target(name=NAME, portal_groups=() if group is None else (group,))
    configuration = Configuration(backstores={KEY: store}, targets={NAME: target}, discovery=discovery)
    return [line.strip() for line in layout(driver_section(configuration, DeviceNames([store]))).splitlines() if line]


def portal_group(
    attributes: dict[str, Value], *, chap: Chap = NO_CHAP, parameters: dict[str, Value] | None = None, **parts: object
) -> PortalGroup:
    """One that has what SCST has by itself, and these."""
    return PortalGroup(
        tag=1,
        attributes={"default_cmdsn_depth": 32, **attributes},
        parameters={**SESSION_DEFAULTS, **(parameters or {})},
        chap=chap,
        **{"luns": LUNS, **parts},  # type: ignore[arg-type]
    )


def body(group: PortalGroup) -> list[str]:
    """The statements of the target."""
    head = ["TARGET_DRIVER iscsi {", "enabled 1", f"TARGET {NAME} {{"]
    found = lines(group)
    assert (found[:3], found[-2:]) == (head, ["}", "}"])
    return found[3:-2]


def test_a_server_without_targets_has_no_section() -> None:
    """There is nothing to say."""
    assert driver_section(Configuration(), DeviceNames([])) == []


def test_discovery_has_the_accounts_of_the_driver() -> None:
    """Only where it asks for them."""
    assert 'IncomingUser "joe 12charsecret"' in lines(discovery=DiscoveryAuthentication(enable=True, chap=JOE))
    assert lines() == ["TARGET_DRIVER iscsi {", "enabled 1", f"TARGET {NAME} {{", "enabled 0", "}", "}"]


def test_demo_mode_is_luns_for_everybody() -> None:
    """Perhaps only to read."""
    assert body(portal_group({"generate_node_acls": 1, "demo_mode_write_protect": 0})) == ["enabled 1", "LUN 0 d"]
    assert body(portal_group({"generate_node_acls": 1, "demo_mode_write_protect": 1})) == [
        "enabled 1",
        "LUN 0 d {",
        "read_only 1",
        "}",
    ]


def test_a_group_for_everybody_else_is_luns_of_the_target() -> None:
    """That is what it came from; one that would come back otherwise stays a group."""
    mapped = (MappedLun(number=0, tpg_lun=0),)
    rest = InitiatorGroup(name="default", initiators=("*",), mapped_luns=mapped)
    more = (*LUNS, Lun(number=1, backstore=BackstoreKey("fileio", "e")))
    other = InitiatorGroup(name="g", initiators=("iqn.x",), mapped_luns=(MappedLun(number=0, tpg_lun=1),))
    head = ["enabled 1", "LUN 0 d", "GROUP g {"]
    assert body(portal_group({}, luns=more, initiator_groups=(other, rest)))[:3] == head
    alone = dataclasses.replace(rest, name="all")
    assert body(portal_group({}, initiator_groups=(alone,)))[:2] == ["enabled 1", "GROUP all {"]


def test_whoever_is_known_is_in_a_group() -> None:
    """Node ACLs have one each."""
    mapped = (MappedLun(number=3, tpg_lun=0),)
    acl = NodeAcl(name=INITIATOR, mapped_luns=mapped)
    group = InitiatorGroup(name="g", initiators=("iqn.x*", "!iqn.y"), mapped_luns=mapped)
    assert body(portal_group({}, node_acls=(acl,), initiator_groups=(group,))) == [
        *("enabled 1", f"GROUP {INITIATOR} {{", "LUN 3 d", f"INITIATOR {INITIATOR}", "}"),
        *("GROUP g {", "LUN 3 d", "INITIATOR iqn.x*", "INITIATOR !iqn.y", "}"),
    ]


def test_settings_that_scst_has_otherwise_are_written() -> None:
    """The others are not, nor MaxConnections, which is no attribute there."""
    attributes: dict[str, Value] = {
        "default_cmdsn_depth": 64,
        "max_sessions": 2,
        "per_portal_acl": 1,
        "redirect_address": "2001:db8::1",
        "redirect_permanent": 1,
    }
    parameters: dict[str, Value] = {"InitialR2T": "Yes", "MaxConnections": 4, "TargetAlias": "a b"}
    portals = (Portal("192.0.2.1"),)
    assert body(portal_group(attributes, parameters=parameters, portals=portals)) == [
        *("enabled 1", "InitialR2T Yes", 'alias "a b"', "QueuedCommands 64", "MaxSessions 2", "per_portal_acl 1"),
        *('redirect "[2001:db8::1]:3260 perm"', "allowed_portal 192.0.2.1"),
    ]


def test_every_address_is_every_portal() -> None:
    """That is what SCST has without a word."""
    assert body(portal_group({}, portals=(Portal("::"), Portal("192.0.2.1", 860)))) == ["enabled 1"]


@pytest.mark.parametrize(
    "group",
    [
        portal_group({"authentication": 1}, chap=JOE),
        portal_group({"authentication": 1}, node_acls=(NodeAcl(name=INITIATOR, chap=JOE),)),
    ],
)
def test_one_account_for_all_is_the_targets(group: PortalGroup) -> None:
    """Whether the portal group has it or every node ACL."""
    assert body(group)[:2] == ["enabled 1", 'IncomingUser "joe 12charsecret"']


@pytest.mark.parametrize(
    "group",
    [
        portal_group({"authentication": 1}),
        portal_group(
            {"authentication": 1}, chap=ANN, node_acls=(NodeAcl(name=INITIATOR, chap=JOE), NodeAcl(name=NAME))
        ),
        portal_group({"authentication": 1}, chap=Chap(userid="a b", password="12charsecret")),
        portal_group({}, parameters={"AuthMethod": "CHAP"}),
        portal_group({"allowed_addresses": "192.0.2.0/24"}),
        portal_group({"allowed_initiators": "iqn.x*"}),
        portal_group({"allowed_match": "any"}),
    ],
)
def test_what_scst_could_not_keep_closed_is_written_disabled(group: PortalGroup) -> None:
    """Nobody gets in by an export."""
    assert body(group)[0] == "enabled 0"
