import dataclasses
import json

from isthmus.management.views import ApplyReport, ConnectionView, SessionView

CONNECTION = ConnectionView(
    cid=1,
    state="LOGGED_IN",
    peer="192.0.2.1:40000",
    local="192.0.2.2:3260",
    header_digest="CRC32C",
    data_digest="None",
    max_recv_data_segment_length=8192,
    max_xmit_data_segment_length=65536,
)
SESSION = SessionView(
    tsih=1,
    session_type="Normal",
    state="LOGGED_IN",
    initiator_name="iqn.2026-01.org.example:host",
    initiator_alias="",
    isid="80123456789a",
    target_name="iqn.2026-01.org.example:target",
    target_portal_group_tag=1,
    dynamic=True,
    chap_user="",
    luns=(0, 1),
    parameters={"MaxConnections": 1},
    connections=(CONNECTION,),
    commands_in_progress=0,
)


def test_a_view_crosses_the_socket() -> None:
    """As a JSON object, with views in it."""
    assert SessionView.read(json.loads(json.dumps(dataclasses.asdict(SESSION)))) == SESSION


def test_what_a_newer_daemon_adds_is_left_out() -> None:
    """And what it need not say has its default."""
    report = ApplyReport.read({"revision": 1, "changes": ["+ x"], "colour": "blue"})
    assert report == ApplyReport(revision=1, changes=("+ x",))
