import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.compat.scst.target_attributes import SESSION_DEFAULTS
from isthmus.config.settings import TPG_PARAMETERS, Value
from tests.support.scst import FILE, imported, only_group

HEAD = "TARGET_DRIVER iscsi {\nenabled 1\nTARGET iqn.2026-01.org.example:t {\n"


def target(attribute: str) -> tuple[dict[str, Value], dict[str, Value], list[str]]:
    """Parameters and attributes of a target with one attribute beside those that SCST has by itself; what is told."""
    found = imported(f"{HEAD}{attribute}\n}}\n}}")
    group = only_group(found)
    plain = only_group(imported(f"{HEAD}}}\n}}"))
    return (
        {name: value for name, value in group.parameters.items() if value != plain.parameters.get(name)},
        {name: value for name, value in group.attributes.items() if value != plain.attributes.get(name)},
        [str(finding) for finding in found.findings],
    )


def test_what_is_not_said_is_as_with_scst() -> None:
    """So initiators negotiate what they did before."""
    group = only_group(imported(f"{HEAD}}}\n}}"))
    expected = {name: value for name, value in SESSION_DEFAULTS.items() if value != TPG_PARAMETERS[name].default}
    assert group.parameters == expected
    assert group.attributes == {"default_cmdsn_depth": 32, "demo_mode_discovery": 0}


@pytest.mark.parametrize(
    ("attribute", "parameters"),
    [
        ("HeaderDigest CRC32C,None", {}),
        ("InitialR2T Yes", {}),
        ("MaxConnections 4", {"MaxConnections": 4}),
        ("FirstBurstLength 32768", {"FirstBurstLength": 32768}),
        ('alias "my disk"', {"TargetAlias": "my disk"}),
    ],
)
def test_session_keys_are_parameters(attribute: str, parameters: dict[str, Value]) -> None:
    """Where they are what our default is, nothing is set."""
    assert target(attribute) == (parameters, {}, [])


@pytest.mark.parametrize(
    ("attribute", "attributes"),
    [
        ("QueuedCommands 128", {"default_cmdsn_depth": 128}),
        ("MaxSessions 3", {"max_sessions": 3}),
        ("per_portal_acl 1", {"per_portal_acl": 1}),
        ('redirect "192.0.2.7 perm"', {"redirect_address": "192.0.2.7", "redirect_permanent": 1}),
        ('redirect "[2001:db8::7]:3261 temp"', {"redirect_address": "2001:db8::7", "redirect_port": 3261}),
        ('redirect ""', {}),
        ("NopInInterval 60", {"nop_interval": 60}),
        ("NopInInterval 0", {"nop_interval": -1}),
        ("NopInTimeout 20", {"nop_timeout": 20}),
        ("RspTimeout 90", {"data_timeout": 90}),
        ("rel_tgt_id 7", {"relative_target_port_id": 7}),
        ("cpu_mask ff", {}),
    ],
)
def test_other_settings_are_attributes(attribute: str, attributes: dict[str, Value]) -> None:
    """By the names that they have here."""
    assert target(attribute) == ({}, attributes, [])


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("NopInInterval 3601", "nop_interval of a target portal group cannot be 3601"),
        ("rel_tgt_id 65536", "relative_target_port_id of a target portal group cannot be 65536"),
        ("QueuedCommands 2048", "default_cmdsn_depth of a target portal group cannot be 2048"),
        ("MaxOutstandingR2T 0", "MaxOutstandingR2T of a target portal group cannot be '0'"),
        ("redirect nowhere", "it is not ADDRESS[:PORT] and temp or perm"),
    ],
)
def test_what_cannot_be_honoured_is_told(attribute: str, told: str) -> None:
    """With its line."""
    parameters, attributes, (finding,) = target(attribute)
    assert (parameters, attributes) == ({}, {})
    assert finding.startswith(f"{FILE}:4: {attribute} of TARGET iqn.2026-01.org.example:t: {told}")


def test_values_that_quiet_nobody_are_no_news() -> None:
    """SCST's own defaults may be written down."""
    assert target("aen_disabled 0\nblack_hole 0\nRDMAExtensions No") == ({}, {}, [])


def test_an_unclear_flag_is_an_error() -> None:
    """Whether a target is to be open is no guess."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}:4:1: enabled on of TARGET"):
        target("enabled on")


def test_a_driver_that_tells_isns_is_told() -> None:
    """There is no such client here."""
    found = imported("TARGET_DRIVER iscsi {\niSNSServer 192.0.2.1\nlink_local 1\n}")
    assert [str(finding) for finding in found.findings] == [
        f"{FILE}:2: iSNSServer 192.0.2.1 of the driver iscsi: targets are not told to an iSNS server"
    ]
