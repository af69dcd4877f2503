import json
from pathlib import Path

import pytest

from isthmus.config.document import dump
from isthmus.management.views import ConnectionView, SessionView
from tests.support.typist import Typist

SESSION = SessionView(
    tsih=3,
    session_type="Normal",
    state="LOGGED_IN",
    initiator_name="iqn.2026-05.com.example:db",
    initiator_alias="db01",
    isid="00023d000001",
    target_name="iqn.2026-05.com.example:a",
    target_portal_group_tag=1,
    dynamic=True,
    chap_user="",
    luns=(0, 1),
    parameters={},
    connections=(
        ConnectionView(
            cid=0,
            state="LOGGED_IN",
            peer="192.0.2.7:50000",
            local="192.0.2.1:3260",
            header_digest="None",
            data_digest="None",
            max_recv_data_segment_length=8192,
            max_xmit_data_segment_length=8192,
        ),
    ),
    commands_in_progress=0,
)


def test_sessions_of_everybody_are_listed(typist: Typist) -> None:
    """Those of demo mode too, which targetcli does not see (targetcli-fb#120)."""
    assert "(no open sessions)" in typist.types("sessions")
    typist.daemon.open_sessions = (SESSION,)
    assert "alias: db01\tsid: 3 type: Normal session-state: LOGGED_IN" in typist.types("sessions list")
    detail = typist.types("sessions detail 3")
    for part in ("NOT AUTHENTICATED", "lun: 1", "address: 192.0.2.7:50000 (TCP)  cid: 0"):
        assert part in detail


def test_restoring_a_saved_form(typist: Typist, tmp_path: Path) -> None:
    """Into an empty configuration at once, over another only if told to; what is left out is told."""
    typist.types("/backstores/ramdisk create r 1M")
    saved = json.loads(dump(typist.daemon.running))
    saved["targets"].append({"wwn": "naa.1", "fabric": "loopback", "tpgs": []})
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(saved))
    assert "clear_existing=true" in typist.fails(f"restoreconfig {file}")
    said = typist.types(f"clearconfig confirm=true\nrestoreconfig {file}")
    assert "'loopback' is left out" in said
    assert len(typist.daemon.running.backstores) == 1


def test_version(typist: Typist) -> None:
    """Whose shell this is."""
    assert "isthmus version" in typist.types("version")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("clearconfig", "confirm=true"),
        ("restoreconfig /nowhere/at/all", "No such file"),
        ("saveconfig /tmp/x", "saved already"),
        ("sessions show", "action must be one of"),
        ("sessions list 99", "no session found with sid 99"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)


@pytest.mark.parametrize(("action", "ask"), [("logout", True), ("drop", False)])
def test_a_session_is_ended(typist: Typist, action: str, ask: bool) -> None:
    """With `logout` its initiator is asked first."""
    typist.daemon.open_sessions = (SESSION,)
    assert f"Session {SESSION.tsih} has ended." in typist.types(f"sessions {action} {SESSION.tsih}")
    assert typist.daemon.ended == [(SESSION.tsih, ask)]
