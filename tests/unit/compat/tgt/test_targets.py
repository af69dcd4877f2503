import pytest

from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.wire import Mode, Operation, Request
from isthmus.config.model import PortalGroup, Target
from isthmus.management.callers import Caller
from isthmus.names import IscsiName
from tests.support.tgt_machine import IQN, TgtBench


@pytest.fixture
async def bench() -> TgtBench:
    """With a target."""
    bench = TgtBench()
    await bench.set_up()
    return bench


async def test_a_new_target_lets_nobody_in() -> None:
    """Until somebody is bound to it; otherwise it is as tgt's are."""
    bench = TgtBench()
    await bench.tgtadm(f"--op new --mode target --tid 4 -T {IQN.upper().replace('IQN', 'iqn')}")
    assert bench.target.options == {"tgt_tid": 4}
    assert not bench.group.allowed.admits("iqn.2026-01.org.example:host", "192.0.2.1")
    assert bench.group.attributes["default_cmdsn_depth"] == 128
    assert bench.group.parameters["HeaderDigest"] == "None"


@pytest.mark.parametrize("name", ["", "iqn.2026-01.org.example:under_score", "san", "iqn.2026-01.org.example:ä"])
async def test_names_that_no_target_can_have(name: str) -> None:
    """Tgtd takes some that are no iSCSI names; initiators would not."""
    request = Request(mode=Mode.TARGET, operation=Operation.NEW, tid=1, text=f"targetname={name}")
    bench = TgtBench()
    assert (await bench.face.answer(request, Caller(face="tgtadm"))).status == Status.INVALID_REQUEST


async def test_a_target_goes_with_its_disks(bench: TgtBench) -> None:
    """Those that tgtadm made; busy, it stays unless it is forced."""
    bench.machine.is_busy = True
    assert await bench.status("--op delete --mode target --tid 1") == Status.TARGET_ACTIVE
    assert await bench.status("--op delete --force --mode target --tid 1") == Status.SUCCESS
    assert (bench.machine.configuration.targets, bench.machine.configuration.backstores) == ({}, {})


@pytest.mark.parametrize(
    ("rule", "attribute", "kept"),
    [
        ("-I 192.0.2.7", "allowed_addresses", "ALL,192.0.2.7"),
        ("-I 192.0.2.0/24", "allowed_addresses", "ALL,192.0.2.0/24"),
        ("-I [2001:DB8::1]", "allowed_addresses", "ALL,2001:db8::1"),
        ("-Q iqn.2026-01.org.example:HOST", "allowed_initiators", "iqn.2026-01.org.example:host"),
        ("-Q 192.0.2.0/24", "allowed_addresses", "ALL,192.0.2.0/24"),
    ],
)
async def test_rules_come_and_go(bench: TgtBench, rule: str, attribute: str, kept: str) -> None:
    """Once each; a network that `tgt-admin --dump` takes for a name is a network."""
    before = bench.group
    assert await bench.status(f"--op bind --mode target --tid 1 {rule}") == Status.SUCCESS
    assert bench.group.attributes[attribute] == kept
    assert await bench.status(f"--op bind --mode target --tid 1 {rule}") == Status.ACCESS_RULE_EXISTS
    assert await bench.status(f"--op unbind --mode target --tid 1 {rule}") == Status.SUCCESS
    assert await bench.status(f"--op unbind --mode target --tid 1 {rule}") == Status.NO_ACCESS_RULE
    assert bench.group == before


async def test_what_is_no_rule(bench: TgtBench) -> None:
    """Neither a SCSI host nor what is no address."""
    for rule in ("-H 3", "-I 192.0.2.7/24", "-I a/b"):
        assert await bench.status(f"--op bind --mode target --tid 1 {rule}") == Status.INVALID_REQUEST


async def test_states(bench: TgtBench) -> None:
    """Also as our users write them."""
    for name, value, enabled in (("state", "offline", False), ("State", "ready", True)):
        await bench.tgtadm(f"--op update --mode target --tid 1 --name {name} --value {value}")
        assert bench.group.enable == enabled
    assert await bench.status("--op update --mode target --tid 1 -n state -v gone") == Status.INVALID_REQUEST


async def test_session_keys(bench: TgtBench) -> None:
    """What is done is a parameter; what is only shown is kept beside it, until it is done again."""
    await bench.tgtadm("--op update --mode target --tid 1 -n maxconnections -v 16")
    assert (bench.group.parameters["MaxConnections"], bench.target.options["tgt_MaxConnections"]) == (8, "16")
    await bench.tgtadm("--op update --mode target --tid 1 -n MaxConnections -v 4")
    assert (bench.group.parameters["MaxConnections"], "tgt_MaxConnections" in bench.target.options) == (4, False)
    await bench.tgtadm("--op update --mode target --tid 1 -n HeaderDigest -v CRC32C")
    assert "HeaderDigest" not in bench.group.parameters
    await bench.tgtadm("--op update --mode target --tid 1 -n MaxQueueCmd -v 7")
    assert bench.group.attributes["default_cmdsn_depth"] == 7
    await bench.tgtadm("--op update --mode target --tid 1 -n DataPDUInOrder -v No")
    assert "DataPDUInOrder=No\n" in await bench.tgtadm("--op show --mode target --tid 1")


async def test_a_redirection_needs_an_address_and_a_reason(bench: TgtBench) -> None:
    """Then logins are sent there."""
    for name, value, address in (
        ("RedirectAddress", "192.0.2.9", None),
        ("RedirectPort", "3261", None),
        ("RedirectReason", "Permanent", "192.0.2.9"),
    ):
        await bench.tgtadm(f"--op update --mode target --tid 1 -n {name} -v {value}")
        assert bench.group.attributes.get("redirect_address") == address
    assert (bench.group.attributes["redirect_port"], bench.group.attributes["redirect_permanent"]) == (3261, 1)
    assert await bench.status("--op update --mode target --tid 1 -n RedirectAddress -v 'a b'") == Status.INVALID_REQUEST


async def test_nop_settings(bench: TgtBench) -> None:
    """Of the target; those of a portal are for targets to come."""
    await bench.tgtadm("--op update --mode target --tid 1 -n nop_interval -v 9")
    assert bench.group.attributes["nop_interval"] == 9
    assert await bench.status("--op update --mode target --tid 1 -n nop_count -v 99999") == Status.INVALID_REQUEST
    await bench.tgtadm("--op new --mode portal -P portal=127.0.0.2,nop_interval=5,nop_count=3")
    await bench.tgtadm("--op new --mode target --tid 2 -T iqn.2026-01.org.example:two")
    (group,) = bench.machine.configuration.targets[IscsiName("iqn.2026-01.org.example:two")].portal_groups
    assert (group.attributes["nop_interval"], group.attributes["nop_count"]) == (5, 3)


async def test_what_the_shell_made_is_shown(bench: TgtBench) -> None:
    """Who may log in by node ACLs, or in demo mode; a target without a portal group has nothing to change."""
    targets = {
        IscsiName(f"iqn.2026-01.org.example:{name}"): groups
        for name, groups in (
            ("demo", (PortalGroup(tag=1, attributes={"generate_node_acls": 1}),)),
            ("empty", ()),
        )
    }
    bench.machine.configuration = type(bench.machine.configuration)(
        targets={name: Target(name=name, portal_groups=groups) for name, groups in targets.items()}
    )
    shown = await bench.tgtadm("--op show --mode target")
    assert "Target 1: iqn.2026-01.org.example:demo\n" in shown
    assert "    ACL information:\n        ALL\nTarget 2:" in shown
    assert await bench.status("--op update --mode target --tid 2 -n state -v ready") == Status.INVALID_REQUEST
