"""A session as the daemon tells of it: one that is logged in, to be changed by what a test is about."""

from typing import Final

from isthmus.management.views import ConnectionView, SessionView

__all__ = ["CONNECTION", "SESSION"]

CONNECTION: Final = ConnectionView(
    cid=0,
    state="LOGGED_IN",
    peer="192.0.2.7:50000",
    local="192.0.2.1:3260",
    header_digest="None",
    data_digest="None",
    max_recv_data_segment_length=8192,
    max_xmit_data_segment_length=8192,
)
SESSION: Final = SessionView(
    tsih=3,
    session_type="Normal",
    state="LOGGED_IN",
    initiator_name="iqn.2026-01.org.example:host",
    initiator_alias="",
    isid="00023d000001",
    target_name="iqn.2026-01.org.example:target",
    target_portal_group_tag=1,
    dynamic=True,
    chap_user="",
    luns=(0, 1),
    parameters={"MaxBurstLength": 262144},
    connections=(CONNECTION,),
    commands_in_progress=0,
)
