from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.tgt.seen import SeenTarget, seen_targets
from isthmus.compat.tgt.texts import NexusText, TargetText, UnitText, targets_text

DISK = UnitText(lun=3, kind="disk", scsi_id="a", scsi_sn="b", size=0, block_length=512, path="/srv/a b")
NEXUS = NexusText(session=7, initiator="iqn.h", alias="", connection=1, address="::1")


def test_what_is_shown_is_read_back() -> None:
    """All that tgt-admin wants of it."""
    controller = UnitText(lun=0, kind="controller", scsi_id="a", scsi_sn="b", size=0, block_length=1)
    one = TargetText(
        tid=4,
        name="iqn.a",
        ready=True,
        nexuses=(NEXUS,),
        units=(controller, DISK),
        incoming=("alice", "bob"),
        outgoing="carol",
        rules=("ALL", "iqn.h"),
    )
    other = TargetText(tid=5, name="iqn.b", ready=False)
    assert seen_targets(targets_text([one, other])) == [
        SeenTarget(4, "iqn.a", [0, 3], ["/srv/a b"], ["alice", "bob"], ["carol"], ["ALL", "iqn.h"], [(7, 1)]),
        SeenTarget(5, "iqn.b", [], [], [], [], [], []),
    ]


@given(st.text())
def test_anything_else_is_passed_over(text: str) -> None:
    """Whatever answers."""
    assert isinstance(seen_targets(text), list)
