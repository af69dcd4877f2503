import asyncio
from typing import Any

import pytest

from isthmus.compat.importer import Surroundings
from isthmus.compat.tgt.admin import Admin, AdminStopped
from isthmus.compat.tgt.grammar import Block, parse
from isthmus.compat.tgt.wire import Request, Response
from isthmus.management.callers import Caller
from tests.support.tgt_machine import TgtBench, session_view

A, B, C = (f"iqn.2026-01.org.example:{name}" for name in "abc")
FIRST = f"<target {A}>\nbacking-store /srv/a\nincominguser alice alices\n</target>\n<target {B}>\ninitiator-address 192.0.2.0/24\n</target>\n"
SECOND = f"<target {A}>\nbacking-store /srv/other\n</target>\n<target {C}>\ncontroller_tid 9\nbacking-store /absent\n</target>\n"


class Bench:
    """tgt-admin on a daemon without a socket."""

    def __init__(self, **options: Any) -> None:
        self.tgt = TgtBench()
        self.said: list[str] = []
        self.options = options

    def admin(self, **options: Any) -> Admin:
        """One run of it."""
        kind_of = {"/absent": "absent"}.get
        return Admin(self.ask, self.said.append, lambda path: kind_of(path, "file"), **{**self.options, **options})

    def ask(self, request: Request) -> Response:
        """Answered at once."""
        return asyncio.run(self.tgt.face.answer(request, Caller(face="tgtadm")))

    def targets(self) -> dict[str, int]:
        """Names, from their last letters, and tids."""
        configuration = self.tgt.machine.configuration
        return {name[-1]: tid for tid, name in self.tgt.around.tids.tids(configuration).items()}


def conf(text: str) -> Block:
    """A file."""
    return parse(text, "/t", Surroundings(new_serial=str)).root


def test_execute() -> None:
    """Adds what is not there, and takes away what the file does not have."""
    bench = Bench(verbose=True)
    bench.admin().execute(conf(FIRST))
    assert bench.targets() == {"a": 1, "b": 2}
    assert "# Adding target: " + A in bench.said
    assert "tgtadm -C 0 --mode account --op new --user alice --password ***" in bench.said
    bench.said.clear()
    bench.admin().execute(conf(FIRST))
    assert [line for line in bench.said if "already exists" not in line] == []
    bench.admin().execute(conf(SECOND))
    assert bench.targets() == {"a": 1, "c": 9}
    assert "# LUN 1 at /absent: /absent does not exist - please check the configuration file" in bench.said


def test_a_file_without_targets_takes_nothing_away() -> None:
    """As with tgt-admin."""
    bench = Bench()
    bench.admin().execute(conf(FIRST))
    bench.admin().execute(conf("default-driver iscsi\n"))
    assert bench.targets() == {"a": 1, "b": 2}


def test_update() -> None:
    """All, one by its number, one by its name."""
    bench = Bench()
    bench.admin().execute(conf(FIRST))
    bench.admin().update(conf(SECOND), "tid=1")
    assert {store.path for store in bench.tgt.machine.configuration.backstores.values()} == {"/srv/other"}
    bench.admin().update(conf(SECOND), C)
    assert bench.targets() == {"a": 1, "b": 2, "c": 9}
    bench.admin().update(conf(SECOND), "ALL")
    assert bench.targets() == {"a": 1, "c": 9}
    for which in ("tid=77", "iqn.nobody"):
        with pytest.raises(AdminStopped):
            bench.admin().update(conf(SECOND), which)


def test_who_is_in_use_stays() -> None:
    """Unless it is forced: then its rules and its connections go first."""
    bench = Bench(verbose=True)
    bench.admin().execute(conf(FIRST))
    bench.tgt.machine.sessions = [session_view(2, target=A), session_view(3, target=B)]
    bench.admin().delete("ALL")
    assert bench.targets() == {"a": 1, "b": 2}
    assert f"# Target with tid 1 ({A}) is in use, it won't be deleted." in bench.said
    bench.admin(force=True).delete("tid=1")
    assert (bench.targets(), bench.tgt.machine.dropped) == ({"b": 2}, [(2, 0)])
    bench.admin(force=True).delete(B)
    assert bench.targets() == {}
    bench.admin().delete("tid=5")
    assert bench.said[-1] == "# Target with tid 5 does not exist!"


def test_states() -> None:
    """Of all, of one."""
    bench = Bench()
    bench.admin().execute(conf(FIRST))
    bench.admin().set_state("ALL", "offline")
    bench.admin().set_state("tid=2", "ready")
    groups = {
        name[-1]: target.portal_groups[0].enable for name, target in bench.tgt.machine.configuration.targets.items()
    }
    assert groups == {"a": False, "b": True}
    with pytest.raises(AdminStopped, match="no target with name"):
        bench.admin().set_state("iqn.nobody", "ready")


def test_pretending_changes_nothing() -> None:
    """Every call is printed."""
    bench = Bench(pretend=True)
    bench.admin().execute(conf(FIRST))
    assert bench.targets() == {}
    assert [line for line in bench.said if "--op new --mode target" in line] == [
        f"tgtadm -C 0 --lld iscsi --op new --mode target --tid {tid} -T {name}" for tid, name in ((1, A), (2, B))
    ]


def test_a_refusal_stops_it() -> None:
    """With the call, and without its secret; errors can be ignored, on the command line or in the file."""
    text = f"<target {A}>\nbacking-store /srv/a\nbs-type rbd\nincominguser alice alices\n</target>\n"
    bench = Bench()
    with pytest.raises(AdminStopped, match="exited with code: 22") as caught:
        bench.admin().execute(conf(text))
    assert "alices" not in str(caught.value)
    bench.admin(ignore_errors=True).update(conf(text), "ALL")
    assert bench.tgt.machine.configuration.accounts[0].userid == "alice"
    bench.admin().update(conf("ignore-errors yes\n" + text), "ALL")


def test_a_dump_is_read_again() -> None:
    """Networks stay networks in it."""
    bench = Bench()
    bench.admin().execute(conf(FIRST))
    dumped = bench.admin().dump()
    assert "\tincominguser alice PLEASE_CORRECT_THE_PASSWORD\n" in dumped
    before = bench.tgt.machine.configuration.targets
    bench.admin().delete("ALL")
    bench.admin().execute(conf(dumped))
    assert bench.tgt.machine.configuration.targets == before
