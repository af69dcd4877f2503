"""Initiator groups over HTTP; `test_resources` tries each route."""

from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.scsi.lun import encode_lun
from tests.support.api import running_api
from tests.support.service import ONE

GROUPS = f"/v1/targets/{ONE}/portal-groups/1/initiator-groups"


async def test_a_group_counts_from_the_next_login_on() -> None:
    """And under the sessions that there are."""
    async with running_api() as api:
        assert (await api.ask("POST", GROUPS, {"name": "all", "initiators": ["*"]})).status == 200
        assert (await api.ask("POST", f"{GROUPS}/all/luns", {"tpg_lun": 0, "lun": 8})).status == 200
        async with await Session.login(api.running.settings()) as session:
            assert await LogicalUnit(session, 8).report_luns() == [encode_lun(8)]
            assert (await api.ask("POST", f"{GROUPS}/all/luns", {"tpg_lun": 0, "lun": 9})).status == 200
            assert await LogicalUnit(session, 8).report_luns() == [encode_lun(8), encode_lun(9)]
