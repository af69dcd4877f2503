import json

from tests.unit.cli.verbs.conftest import Run

ONE, TWO = "iqn.2026-01.com.example:one", "iqn.2026-01.com.example:two"
HOST = "iqn.2026-01.com.example:host"


def prepare(run: Run) -> None:
    """Two targets with a LUN each; the host sees that of the first one, to read."""
    for name in ("a", "b"):
        run(f"backstore create ramdisk/{name} --size 1M")
    for name, store in ((ONE, "a"), (TWO, "b")):
        run(f"target create {name}")
        run(f"lun create {name} {store} --lun 4")
    run(f"acl create {ONE} {HOST} --no-luns")
    run(f"acl map {ONE} {HOST} 4 --as 0 --read-only")


def test_luns(run: Run) -> None:
    """Each with who sees it; of one target, too."""
    prepare(run)
    lines = [line.split() for line in run("lun list").splitlines()]
    assert lines[0] == ["TARGET", "TPG", "LUN", "BACKSTORE", "INITIATORS"]
    assert lines[1:] == [[ONE, "1", "4", "ramdisk/a", HOST], [TWO, "1", "4", "ramdisk/b", "-"]]
    assert [row["target"] for row in json.loads(run(f"lun list {TWO} --json"))] == [TWO]


def test_initiators(run: Run) -> None:
    """Each with what it sees: its own number, the target's, and whether it only reads."""
    prepare(run)
    lines = [line.split() for line in run("acl list").splitlines()]
    assert lines[1] == [ONE, "1", HOST, "-", "-", "0=4", "ro"]
    assert run(f"acl list {TWO}") == "no node ACLs\n"
    assert json.loads(run(f"acl list {TWO} --json")) == []


def test_credentials_that_nobody_is_asked_for_are_warned_of(run: Run) -> None:
    """Where authentication is off, they keep nobody out."""
    prepare(run)
    assert "asks nobody for CHAP" in run(f"acl chap {ONE} {HOST} --user x")
    run(f"target set {ONE} authentication=1")
    assert "asks nobody" not in run(f"acl chap {ONE} {HOST} --user y")
