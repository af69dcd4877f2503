import json

from tests.unit.cli.verbs.conftest import Run

ONE, TWO = "iqn.2026-01.com.example:one", "iqn.2026-01.com.example:two"


def test_groups_are_listed_in_the_order_in_which_they_are_asked(run: Run) -> None:
    """Each with its patterns, and what it sees; of one target, too."""
    run("backstore create ramdisk/a --size 1M")
    for name in (ONE, TWO):
        run(f"target create {name}")
    run(f"lun create {ONE} a")
    run(f"initiator-group create {ONE} web *:web* *:www")
    run(f"initiator-group create {ONE} rest *")
    run(f"initiator-group map {ONE} rest 0 --as 9 --read-only")
    lines = [line.split() for line in run("initiator-group list").splitlines()]
    assert lines[0] == ["TARGET", "TPG", "GROUP", "INITIATORS", "LUNS"]
    assert lines[1:] == [[ONE, "1", "web", "*:web*,*:www", "-"], [ONE, "1", "rest", "*", "9=0", "ro"]]
    assert run(f"initiator-group list {TWO}") == "no initiator groups\n"
    assert [row["group"] for row in json.loads(run(f"initiator-group list {ONE} --json"))] == ["web", "rest"]
