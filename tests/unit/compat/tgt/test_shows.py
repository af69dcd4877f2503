import asyncio

import pytest

from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.machine import Counted, DiskState
from isthmus.config.model import Portal
from isthmus.server import blocking
from tests.support.tgt_machine import IQN, TgtBench, session_view

HOST = "iqn.2026-01.org.example:host"


async def test_sessions_are_shown_at_their_target() -> None:
    """At its first connection there; each connection by itself."""
    bench = TgtBench()
    await bench.set_up()
    bench.machine.sessions = [session_view(2, cids=(0, 1)), session_view(3, target="iqn.other")]
    shown = await bench.tgtadm("--op show --mode target")
    assert f"        I_T nexus: 2\n            Initiator: {HOST} alias: none\n            Connection: 0\n" in shown
    assert "                IP Address: fe80::1\n    LUN information:\n" in shown
    connections = await bench.tgtadm("--op show --mode conn --tid 1")
    assert connections.count("Session: 2\n") == 2
    assert await bench.status("--op show --mode conn --tid 7") == Status.NO_TARGET


async def test_targets_are_told_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have the loop in between, and may even delete what is still to be told."""
    monkeypatch.setattr(blocking, "SLICE_SECONDS", 0.0)
    bench = TgtBench()
    await bench.set_up()
    for tid in (2, 3):
        await bench.tgtadm(f"--op new --mode target --tid {tid} -T iqn.2026-01.org.example:number-{tid}")
    told = asyncio.create_task(bench.tgtadm("--op show --mode target"))
    await asyncio.sleep(0)
    assert not told.done()
    await bench.tgtadm("--op delete --mode target --tid 3")
    assert [line.split()[1] for line in (await told).splitlines() if line.startswith("Target ")] == ["1:", "2:", "3:"]


async def test_a_disk_is_shown_as_it_is() -> None:
    """A medium that is out, or locked in; a disk that does not run is not online."""
    bench = TgtBench()
    await bench.set_up()
    key = bench.store().key
    bench.machine.states[key] = DiskState(size=1 << 30, prevent_removal=True, medium_present=True, write_protected=True)
    shown = await bench.tgtadm("--op show --mode target")
    for line in ("Size: 1074 MB, Block size: 512", "Online: Yes", "Prevent removal: Yes", "SWP: Yes"):
        assert f"            {line}\n" in shown
    bench.machine.states[key] = DiskState()
    assert "            Online: No\n" in (await bench.tgtadm("--op show --mode target")).partition("LUN: 1")[2]


async def test_counters() -> None:
    """By LUN for a target; of a session the last LUN first, and its connections."""
    bench = TgtBench()
    await bench.set_up("--op new --mode lu --tid 1 --lun 2 -b /srv/two.img")
    bench.machine.sessions = [session_view(2)]
    bench.machine.counted = [
        Counted(target=IQN, session=2, lun=lun, reads=lun, read_bytes=512 * lun, writes=0, written_bytes=0)
        for lun in (1, 2)
    ]
    by_lun = (await bench.tgtadm("--op stat --mode target --tid 1")).splitlines()
    assert [line.split()[:5] for line in by_lun[1:]] == [
        ["1", "0", "2", "0", "0"],
        ["1", "1", "2", "512", "1"],
        ["1", "2", "2", "1024", "2"],
    ]
    assert await bench.tgtadm("--op stat --mode sys") == "\n".join(by_lun) + "\n"
    unit = (await bench.tgtadm("--op stat --mode lu --tid 1 --lun 2")).splitlines()
    assert unit == [by_lun[0], by_lun[3]]
    session = (await bench.tgtadm("--op stat --mode sess --sid 2")).splitlines()
    assert session[:4] == [by_lun[0], by_lun[3], by_lun[2], by_lun[1]]
    assert session[4:6] == ["", "sid cid rxdata_octets txdata_octets dataout_pdus datain_pdus cmd_pdus rsp_pdus"]
    connection = await bench.tgtadm("--op stat --mode conn --tid 1 --sid 2 --cid 0")
    assert connection.splitlines()[0] == session[5]
    assert connection.splitlines()[1].split() == ["2", "0", "1000", "2000", "3", "6", "9", "4"]


async def test_counters_of_what_is_not_there() -> None:
    """Each with its number."""
    bench = TgtBench()
    await bench.set_up()
    bench.machine.sessions = [session_view(2)]
    for line, status in (
        ("--op stat --mode target --tid 7", Status.NO_TARGET),
        ("--op stat --mode lu --tid 1 --lun 7", Status.NO_LOGICAL_UNIT),
        ("--op stat --mode sess --sid 7", Status.NO_SESSION),
        ("--op stat --mode conn --tid 1 --sid 2 --cid 7", Status.NO_CONNECTION),
    ):
        assert await bench.status(line) == status


async def test_portals_that_listen_are_shown() -> None:
    """With the ports that they have got."""
    bench = TgtBench()
    bench.machine.portals = (Portal("127.0.0.1", 41000), Portal("::", 3260))
    assert await bench.tgtadm("--op show --mode portal") == "Portal: 127.0.0.1:41000,1\nPortal: [::]:3260,1\n"


async def test_drivers() -> None:
    """The one, with all targets."""
    bench = TgtBench()
    await bench.set_up()
    assert await bench.tgtadm("--op show --mode lld") == f"LLDs:\n    iscsi: ready\n        Target 1: {IQN}\n"
