import asyncio

import pytest

from isthmus.compat.tgt.admin import Admin, AdminStopped
from isthmus.compat.tgt.setup_lun import Wish, set_up_lun
from isthmus.compat.tgt.wire import Request, Response
from isthmus.management.callers import Caller
from tests.support.tgt_machine import IQN, TgtBench


class Bench:
    """tgt-setup-lun on a daemon without a socket."""

    def __init__(self) -> None:
        self.tgt = TgtBench()
        self.said: list[str] = []
        self.admin = Admin(self.ask, self.said.append, lambda path: "absent" if path == "/absent" else "file")

    def ask(self, request: Request) -> Response:
        """Answered at once."""
        return asyncio.run(self.tgt.face.answer(request, Caller(face="tgtadm")))


def test_a_target_is_made_with_its_lun() -> None:
    """For everybody, or for those that are named; a second LUN only if somebody agrees."""
    bench = Bench()
    set_up_lun(bench.admin, Wish(IQN, "/srv/a", "aio", "4096"), lambda _: False)
    assert [lun.number for lun in bench.tgt.group.luns] == [1]
    assert bench.tgt.group.attributes["allowed_addresses"] == "ALL"
    with pytest.raises(AdminStopped, match="nothing was changed"):
        set_up_lun(bench.admin, Wish(IQN, "/srv/b"), lambda _: False)
    set_up_lun(bench.admin, Wish(IQN, "/srv/b", initiators=("192.0.2.1",)), lambda _: True)
    assert [lun.number for lun in bench.tgt.group.luns] == [1, 2]
    assert bench.tgt.group.attributes["allowed_addresses"] == "ALL,192.0.2.1"


def test_what_cannot_be_leaves_nothing() -> None:
    """The new target goes again."""
    bench = Bench()
    with pytest.raises(AdminStopped, match="invalid request"):
        set_up_lun(bench.admin, Wish(IQN, "/srv/a", "rbd"), lambda _: False)
    assert bench.tgt.machine.configuration.targets == {}
    assert "Deleting new target, tid=1" in bench.said
    with pytest.raises(AdminStopped, match="/absent is not a device"):
        set_up_lun(bench.admin, Wish(IQN, "/absent"), lambda _: False)
