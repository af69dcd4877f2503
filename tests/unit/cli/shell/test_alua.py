import dataclasses

import pytest

from isthmus.config.document import dump, load
from isthmus.config.model import AluaGroup, BackstoreKey
from isthmus.management.views import AluaGroupView, BackstoreView
from tests.support.typist import Typist

KEY = BackstoreKey("ramdisk", "r")
ALUA = "/backstores/ramdisk/r/alua"
TPG = "/iscsi/iqn.2026-05.com.example:a/tpg1"


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with a memory disk that is LUN 0 of a target, and has a second group."""
    typist.types("/backstores/ramdisk create r 1M\n/iscsi create iqn.2026-05.com.example:a")
    typist.types(f"{TPG}/luns create {KEY}\n{ALUA} create second 7")
    return typist


def groups(typist: Typist) -> tuple[AluaGroup, ...]:
    """Those that are configured."""
    return typist.daemon.running.backstores[KEY].alua_groups


def test_the_default_group_is_always_there(typist: Typist) -> None:
    """Saved or not; what is created stands beside it."""
    tree = typist.types(f"{ALUA} ls")
    for part in ("[ALUA Groups: 2]", "o- default_tg_pt_gp", "o- second", "[ALUA state: Active/optimized]"):
        assert part in tree
    assert [(group.name, group.alua_group_id) for group in groups(typist)] == [("second", 7)]


def test_parameters(typist: Typist) -> None:
    """Several in one edit; what cannot be set is there to be read."""
    said = typist.types(f"{ALUA}/second set alua alua_access_state=2 preferred=1 trans_delay_msecs=50")
    assert "Parameter alua_access_state is now '2'." in said
    assert groups(typist)[0].parameters == {"alua_access_state": 2, "preferred": 1, "trans_delay_msecs": 50}
    assert "ALUA state: Standby" in typist.types(f"{ALUA}/second status")
    for part in ("tg_pt_gp_id=7", "alua_support_lba_dependent=0", "alua_access_type=3"):
        assert part in typist.types(f"{ALUA}/second get alua")
    assert "tg_pt_gp_id: 7" in typist.types(f"{ALUA}/second info")
    assert "read-only" in typist.fails(f"{ALUA}/second set alua tg_pt_gp_id=8")


def test_the_default_group_stays_as_it_runs_but_for_what_is_set(typist: Typist) -> None:
    """Unsaved, it runs without a delay and is never offline: saving something else of it does not change that."""
    typist.types(f"{ALUA}/default_tg_pt_gp set alua preferred=1")
    default = groups(typist)[0]
    assert (default.name, default.alua_group_id) == ("default_tg_pt_gp", 0)
    assert default.parameters == {"preferred": 1, "nonop_delay_msecs": 0, "alua_support_offline": 0}


def test_members(typist: Typist) -> None:
    """LUNs go from group to group; when theirs is deleted, to the default one."""
    lun = f"{TPG}/luns/lun0"
    assert f"members={lun}" in typist.types(f"{ALUA}/default_tg_pt_gp get alua members")
    typist.types(f"{lun} set alua alua_tg_pt_gp_name=second")
    assert f"members={lun}" in typist.types(f"{ALUA}/second get alua members")
    assert "members= [ro]" in typist.types(f"{ALUA}/default_tg_pt_gp get alua members")
    typist.types(f"{ALUA} delete second")
    assert groups(typist) == ()
    assert f"members={lun}" in typist.types(f"{ALUA}/default_tg_pt_gp get alua members")
    assert "(default_tg_pt_gp)" in typist.types(f"{lun} status")


def test_what_is_saved_is_lios_form(typist: Typist) -> None:
    """`alua_tpgs` of the storage object and `alua_tg_pt_gp_name` of the LUN, there and back."""
    typist.types(f"{ALUA}/second set alua alua_access_state=1\n{TPG}/luns/lun0 set alua alua_tg_pt_gp_name=second")
    text = dump(typist.daemon.running)
    assert '"tg_pt_gp_id": 7' in text
    assert '"alua_tg_pt_gp_name": "second"' in text
    assert load(text) == (typist.daemon.running, [])


def test_the_state_that_is_shown_is_the_one_that_is(typist: Typist) -> None:
    """An initiator may have set it; the configured one, asked for again, is brought back."""
    typist.types(f"{ALUA}/second set alua alua_access_state=1")
    running = AluaGroupView(name="second", alua_group_id=7, state=3, status_code=1)
    view = BackstoreView(path=str(KEY), size=1 << 20, block_length=512, active=True, alua_groups=(running,))
    typist.daemon.known_backstores = (view,)
    assert "ALUA state: Unavailable" in typist.types(f"{ALUA}/second status")
    assert "alua_access_status=1" in typist.types(f"{ALUA}/second get alua alua_access_status")
    assert typist.daemon.restored == []
    typist.types(f"{ALUA}/second set alua alua_access_state=1")
    assert typist.daemon.restored == [(str(KEY), "second")]
    moving = dataclasses.replace(view, alua_groups=(dataclasses.replace(running, state=15),))
    typist.daemon.known_backstores = (moving,)
    assert "ALUA state: Transitioning" in typist.types(f"{ALUA}/second status")


def test_a_scsi_device_has_its_own(typist: Typist) -> None:
    """The node is there, and empty, as with targetcli."""
    typist.types("/backstores/pscsi create d /dev/sg0")
    assert "ALUA Groups: 0" in typist.types("/backstores/pscsi/d/alua status")
    assert "has its own" in typist.fails("/backstores/pscsi/d/alua create second 7")


def test_completion(typist: Typist) -> None:
    """Groups from their first letters."""
    node = typist.shell._root.get_node(ALUA)
    assert node.ui_complete_delete({}, "s", "name") == ["second "]
