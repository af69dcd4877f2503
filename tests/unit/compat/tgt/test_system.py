from isthmus.compat.tgt.errors import Status
from tests.support.tgt_machine import TgtBench

UPDATE = "--op update --mode sys"


async def test_what_an_isns_server_would_be_told_is_kept() -> None:
    """But none is asked, and nobody is to think so."""
    bench = TgtBench()
    for name, value in (("iSNSServerIP", "192.0.2.1"), ("iSNSServerPort", "0x10"), ("iSNSAccessControl", "On")):
        await bench.tgtadm(f"{UPDATE} -n {name} -v {value}")
    await bench.tgtadm(f"{UPDATE} -n iSNS -v Off")
    shown = await bench.tgtadm("--op show --mode sys")
    expected = "    iSNS=Off\n    iSNSServerIP=192.0.2.1\n    iSNSServerPort=16\n    iSNSAccessControl=On\n"
    assert shown.endswith(f"iSNS:\n{expected}")
    assert await bench.status(f"{UPDATE} -n iSNS -v On") == Status.UNSUPPORTED_OPERATION
    assert await bench.status(f"{UPDATE} -n nonsense -v 1") == Status.INVALID_REQUEST
