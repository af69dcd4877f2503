import pytest

from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.wire import Mode, Operation, Request
from isthmus.config.model import Account
from tests.support.tgt_machine import TgtBench

NEW = "--op new --mode account"


@pytest.fixture
async def bench() -> TgtBench:
    """With a target and three accounts."""
    bench = TgtBench()
    await bench.set_up(*(f"{NEW} --user {name} --password {name}s-secret" for name in ("alice", "bob", "carol")))
    return bench


async def test_accounts_are_known_by_name(bench: TgtBench) -> None:
    """The newest is shown first; none is there twice, or without a secret."""
    assert await bench.tgtadm("--op show --mode account") == "Account list:\n    carol\n    bob\n    alice\n"
    assert await bench.status(f"{NEW} --user bob --password x") == Status.ACCOUNT_EXISTS
    assert await bench.status(f"{NEW} --user dave --password ''") == Status.INVALID_REQUEST
    assert bench.group.attributes.get("authentication") is None


async def test_a_secret_may_be_anything(bench: TgtBench) -> None:
    """Commas, quotes, and bytes that are no text."""
    text = "user=dave,password=a,b='\udcff$(x)"
    await bench.ask(Request(mode=Mode.ACCOUNT, operation=Operation.NEW, text=text))
    assert bench.machine.configuration.accounts[-1] == Account("dave", "a,b='\udcff$(x)")


async def test_several_are_bound(bench: TgtBench) -> None:
    """CHAP is asked for as long as one is."""
    bind, unbind = ("--op bind --mode account --tid 1 --user", "--op unbind --mode account --tid 1 --user")
    await bench.tgtadm(f"{bind} alice")
    await bench.tgtadm(f"{bind} bob")
    assert [account.userid for account in bench.group.chap.incoming] == ["alice", "bob"]
    assert bench.group.attributes["authentication"] == 1
    assert await bench.status(f"{bind} bob") == Status.ACCOUNT_EXISTS
    assert await bench.status(f"{unbind} carol") == Status.NO_ACCOUNT
    await bench.tgtadm(f"{unbind} alice")
    await bench.tgtadm(f"{unbind} bob")
    assert bench.group.chap.incoming == ()
    assert bench.group.attributes.get("authentication") is None


async def test_one_proves_the_target(bench: TgtBench) -> None:
    """And no second one."""
    await bench.tgtadm("--op bind --mode account --tid 1 --user carol --outgoing")
    assert (bench.group.chap.mutual_userid, bench.group.chap.mutual_password) == ("carol", "carols-secret")
    bind = "--op bind --mode account --tid 1 --user bob --outgoing"
    assert await bench.status(bind) == Status.OUTGOING_ACCOUNT_EXISTS
    assert await bench.status("--op unbind --mode account --tid 1 --user bob --outgoing") == Status.NO_ACCOUNT
    await bench.tgtadm("--op unbind --mode account --tid 1 --user carol --outgoing")
    assert bench.group.chap.mutual_userid == ""


async def test_without_a_target_it_is_discovery(bench: TgtBench) -> None:
    """Which then asks for CHAP, too."""
    await bench.tgtadm("--op bind --mode account --user alice")
    await bench.tgtadm("--op bind --mode account --user bob --outgoing")
    discovery = bench.machine.configuration.discovery
    assert (discovery.enable, discovery.chap.userid, discovery.chap.mutual_userid) == (True, "alice", "bob")
    shown = await bench.tgtadm("--op show --mode sys")
    assert "    Account information:\n\n    alice\n    bob (outgoing)\n" in shown
    await bench.tgtadm("--op unbind --mode account --user alice")
    assert not bench.machine.configuration.discovery.enable


async def test_an_account_goes_from_everywhere(bench: TgtBench) -> None:
    """It is bound nowhere any more."""
    for line in ("--tid 1 --user alice", "--tid 1 --user alice --outgoing", "--user alice"):
        await bench.tgtadm(f"--op bind --mode account {line}")
    await bench.tgtadm("--op delete --mode account --user alice")
    assert (bench.group.chap.incoming, bench.group.chap.mutual_userid) == ((), "")
    assert not bench.machine.configuration.discovery.enable
    assert await bench.status("--op delete --mode account --user alice") == Status.NO_ACCOUNT
    assert await bench.status("--op bind --mode account --tid 9 --user bob") == Status.NO_TARGET


async def test_an_account_that_was_made_elsewhere(bench: TgtBench) -> None:
    """Stands at a target only; unbound, it is still known."""
    await bench.tgtadm("--op bind --mode account --tid 1 --user alice")
    bench.machine.configuration = type(bench.machine.configuration)(
        backstores=bench.machine.configuration.backstores, targets=bench.machine.configuration.targets
    )
    assert await bench.tgtadm("--op show --mode account") == "Account list:\n    alice\n"
    await bench.tgtadm("--op unbind --mode account --tid 1 --user alice")
    assert await bench.tgtadm("--op show --mode account") == "Account list:\n    alice\n"
