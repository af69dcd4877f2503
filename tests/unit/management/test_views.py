import dataclasses
import json

import pytest

from isthmus.management.views import ApplyReport, ConnectionView, PortalView, SessionView

CONNECTION = ConnectionView(
    cid=0,
    state="LOGGED_IN",
    peer="192.0.2.7:50000",
    local="192.0.2.1:3260",
    header_digest="None",
    data_digest="CRC32C",
    max_recv_data_segment_length=8192,
    max_xmit_data_segment_length=262144,
)
SESSION = SessionView(
    tsih=3,
    session_type="Normal",
    state="LOGGED_IN",
    initiator_name="iqn.2026-05.com.example:db",
    initiator_alias="",
    isid="00023d000001",
    target_name="iqn.2026-05.com.example:a",
    target_portal_group_tag=1,
    dynamic=False,
    chap_user="db",
    luns=(0, 1),
    parameters={"MaxBurstLength": 262144},
    connections=(CONNECTION,),
    commands_in_progress=0,
)


@pytest.mark.parametrize(
    "view",
    [
        SESSION,
        CONNECTION,
        ApplyReport(revision=3, changes=("a", "b"), warnings=()),
        PortalView(target_name="t", target_portal_group_tag=1, portal="[::]:3260", listening=True),
    ],
)
def test_a_view_crosses_the_socket_unchanged(view: SessionView | ConnectionView | ApplyReport | PortalView) -> None:
    """As JSON and back, with what is nested in it."""
    document = json.loads(json.dumps(dataclasses.asdict(view)))
    assert type(view).read(document) == view


def test_what_a_newer_daemon_says_more_is_left_out() -> None:
    """A client of an older version goes on."""
    assert ApplyReport.read({"revision": 1, "changes": [], "mood": "good"}) == ApplyReport(revision=1, changes=())


def test_what_is_missing_is_an_error() -> None:
    """A view is never made up."""
    with pytest.raises(TypeError):
        ApplyReport.read({"revision": 1})
