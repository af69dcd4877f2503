from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.wire import Mode, Operation, Request, Response
from isthmus.management.callers import Caller
from tests.support.tgt_machine import TgtBench

CALLER = Caller(face="tgtadm", uid=0)


async def test_there_is_one_driver() -> None:
    """It need not be named."""
    bench = TgtBench()
    for lld, status in (("", Status.SUCCESS), ("iscsi", Status.SUCCESS), ("iser", Status.NO_DRIVER)):
        request = Request(mode=Mode.SYSTEM, operation=Operation.SHOW, lld=lld)
        assert (await bench.face.answer(request, CALLER)).status == status


async def test_only_a_system_delete_that_is_done_ends_the_daemon() -> None:
    """Nothing else."""
    bench = TgtBench()
    request = Request(mode=Mode.SYSTEM, operation=Operation.DELETE)
    assert bench.face.ends(request, await bench.face.answer(request, CALLER))
    assert not bench.face.ends(request, Response(Status.INVALID_REQUEST))
    assert not bench.face.ends(Request(mode=Mode.SYSTEM, operation=Operation.SHOW), Response())


TEXTS = (
    st.none()
    | st.text(max_size=30)
    | st.sampled_from(
        [
            "targetname=iqn.2026-01.org.example:two",
            "path=/srv/x,bstype=null",
            "initiator-address=ALL",
            "user=a,password=b",
            "user=a",
            "targetOps online=0,path=/x,",
            "portalOps portal=127.0.0.9,",
            "State=ready",
            "state=offline",
            "MaxConnections=3",
            "RedirectReason=Temporary",
        ]
    )
)


@given(
    st.lists(
        st.builds(
            Request,
            mode=st.integers(0, 9),
            operation=st.integers(0, 10),
            tid=st.integers(-1, 3),
            sid=st.integers(0, 3),
            lun=st.integers(0, 3),
            device_type=st.sampled_from([0, 1, 255]),
            direction=st.integers(0, 2),
            force=st.booleans(),
            text=TEXTS,
        ),
        max_size=20,
    )
)
async def test_whatever_is_asked_is_answered(requests: list[Request]) -> None:
    """With a status that tgtadm knows, and a configuration that holds."""
    bench = TgtBench()
    for request in requests:
        response = await bench.face.answer(request, CALLER)
        assert response.status in set(Status)
        bench.machine.configuration.check()
    await bench.tgtadm("--op show --mode target")
    await bench.tgtadm("--op show --mode sys")
