from isthmus.compat.tgt.errors import Status
from tests.support.tgt_machine import TgtBench, session_view

UPDATE = "--op update --mode sys"


async def test_the_whole_goes_offline() -> None:
    """And back; that is not kept."""
    bench = TgtBench()
    await bench.tgtadm(f"{UPDATE} -n State -v offline")
    assert "    State: offline\n" in await bench.tgtadm("--op show --mode sys")
    await bench.tgtadm(f"{UPDATE} -n State -v ready")
    assert "    State: ready\n" in await bench.tgtadm("--op show --mode sys")
    assert await bench.status(f"{UPDATE} -n State -v gone") == Status.INVALID_REQUEST
    assert bench.machine.configuration.options == {}


async def test_debug_is_remembered() -> None:
    """As a word."""
    bench = TgtBench()
    await bench.tgtadm(f"{UPDATE} -n debug -v on")
    assert "    debug: on\n" in await bench.tgtadm("--op show --mode sys")
    assert await bench.status(f"{UPDATE} -n debug -v perhaps") == Status.INVALID_REQUEST


async def test_the_daemon_ends_without_targets_only() -> None:
    """Neither does the driver stop with them."""
    bench = TgtBench()
    await bench.set_up()
    assert await bench.status("--op delete --mode sys") == Status.INVALID_REQUEST
    assert await bench.status("--op stop --mode lld") == Status.DRIVER_ACTIVE
    await bench.tgtadm("--op delete --mode target --tid 1")
    for line in ("--op stop --mode lld", "--op start --mode lld", "--op delete --mode sys"):
        assert await bench.status(line) == Status.SUCCESS


async def test_a_connection_is_closed() -> None:
    """If it is there."""
    bench = TgtBench()
    await bench.set_up()
    bench.machine.sessions = [session_view(2, cids=(0, 1))]
    delete = "--op delete --mode conn --tid 1"
    assert await bench.status(f"{delete} --sid 2 --cid 1") == Status.SUCCESS
    assert bench.machine.dropped == [(2, 1)]
    assert await bench.status(f"{delete} --sid 2 --cid 7") == Status.NO_CONNECTION
    assert await bench.status(f"{delete} --sid 3 --cid 0") == Status.NO_SESSION
    assert await bench.status("--op delete --mode conn --tid 7 --sid 2 --cid 0") == Status.NO_TARGET
