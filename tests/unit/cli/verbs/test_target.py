import json

from isthmus.management.views import PortalView
from tests.support.fake_daemon import FakeDaemon
from tests.unit.cli.verbs.conftest import Run

ONE = "iqn.2026-01.com.example:one"


def test_targets(run: Run) -> None:
    """A line for each portal group, with what it lets in and whether."""
    run(f"target create {ONE} --portal 127.0.0.2")
    run(f"target add-group {ONE}")
    run(f"target disable {ONE} --tpg 2")
    lines = [line.split() for line in run("target list").splitlines()]
    assert lines[0][:4] == ["TARGET", "TPG", "ENABLED", "AUTHENTICATION"]
    assert lines[1] == [ONE, "1", "yes", "none", "127.0.0.2:3260", "-", "0", "0"]
    assert lines[2][:3] == [ONE, "2", "no"]
    assert [row["tpg"] for row in json.loads(run("target list --json"))] == [1, 2]


def test_nothing_is_said_to_be_nothing(run: Run) -> None:
    """For people; programs get an empty list."""
    assert run("target list") == "no targets\n"
    assert json.loads(run("target list --json")) == []


def test_portals(daemon: FakeDaemon, run: Run) -> None:
    """As `isthmus portals` has them."""
    daemon.known_portals = (
        PortalView(target_name=ONE, target_portal_group_tag=1, portal="192.0.2.1:3260", listening=False, problem="no"),
    )
    assert run("portal list") == run("portals")


def test_discovery_is_switched_alone(daemon: FakeDaemon, run: Run) -> None:
    """The credentials stay."""
    run("discovery chap --user x")
    run("discovery chap --enable")
    assert (daemon.running.discovery.enable, daemon.running.discovery.chap.userid) == (True, "x")
