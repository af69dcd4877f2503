"""Each header against the figure of its section in RFC 7143 §11: one row a PDU, every field with a value of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi import pdu
from isthmus.iscsi.pdu import PDU_CLASSES, Pdu, UnknownPdu
from tests.support.pdus import pdus_of

LUN = 0x0102_0304_0506_0708
ITT, TTT = 0xA1A2_A3A4, 0xB1B2_B3B4
SN, EXP, MAX = 0xC1C2_C3C4, 0xD1D2_D3D4, 0xE1E2_E3E4
COUNT, OFFSET = 0x1112_1314, 0x2122_2324

FIGURES: list[tuple[str, Pdu, str]] = [
    (
        "§11.3 SCSI Command",
        pdu.ScsiCommand(
            is_immediate=True,
            final=True,
            read=True,
            write=False,
            attribute=2,
            lun=LUN,
            initiator_task_tag=ITT,
            expected_data_transfer_length=COUNT,
            cmd_sn=SN,
            exp_stat_sn=EXP,
            cdb=bytes(range(16)),
        ),
        "41c20000 00000000 01020304 05060708 a1a2a3a4 11121314 c1c2c3c4 d1d2d3d4 00010203 04050607 08090a0b 0c0d0e0f",
    ),
    (
        "§11.4 SCSI Response",
        pdu.ScsiResponse(
            response=1,
            status=2,
            residual_overflow=True,
            bidirectional_underflow=True,
            initiator_task_tag=ITT,
            snack_tag=TTT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            exp_data_sn=3,
            bidirectional_residual_count=COUNT,
            residual_count=OFFSET,
        ),
        "218c0102 00000000 00000000 00000000 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000003 11121314 21222324",
    ),
    (
        "§11.5 Task Management Function Request",
        pdu.TaskManagementRequest(
            is_immediate=True,
            function=5,
            lun=LUN,
            initiator_task_tag=ITT,
            referenced_task_tag=TTT,
            cmd_sn=SN,
            exp_stat_sn=EXP,
            ref_cmd_sn=MAX,
            exp_data_sn=COUNT,
        ),
        "42850000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 11121314 00000000 00000000",
    ),
    (
        "§11.6 Task Management Function Response",
        pdu.TaskManagementResponse(response=5, initiator_task_tag=ITT, stat_sn=SN, exp_cmd_sn=EXP, max_cmd_sn=MAX),
        "22800500 00000000 00000000 00000000 a1a2a3a4 00000000 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000000 00000000 00000000",
    ),
    (
        "§11.7 SCSI Data-Out",
        pdu.DataOut(
            final=True,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            exp_stat_sn=EXP,
            data_sn=COUNT,
            buffer_offset=OFFSET,
        ),
        "05800000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 00000000 d1d2d3d4 00000000 11121314 21222324 00000000",
    ),
    (
        "§11.7 SCSI Data-In",
        pdu.DataIn(
            final=True,
            acknowledge=True,
            residual_underflow=True,
            has_status=True,
            status=8,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            data_sn=7,
            buffer_offset=OFFSET,
            residual_count=COUNT,
        ),
        "25c30008 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000007 21222324 11121314",
    ),
    (
        "§11.8 Ready To Transfer",
        pdu.ReadyToTransfer(
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            r2t_sn=7,
            buffer_offset=OFFSET,
            desired_data_transfer_length=COUNT,
        ),
        "31800000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000007 21222324 11121314",
    ),
    (
        "§11.9 Asynchronous Message",
        pdu.AsyncMessage(
            lun=LUN,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            async_event=1,
            async_vcode=2,
            parameter1=0x0304,
            parameter2=0x0506,
            parameter3=0x0708,
        ),
        "32800000 00000000 01020304 05060708 ffffffff 00000000 c1c2c3c4 d1d2d3d4 e1e2e3e4 01020304 05060708 00000000",
    ),
    (
        "§11.10 Text Request",
        pdu.TextRequest(
            is_immediate=True,
            final=False,
            continue_=True,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            cmd_sn=SN,
            exp_stat_sn=EXP,
        ),
        "44400000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 00000000 00000000 00000000 00000000",
    ),
    (
        "§11.11 Text Response",
        pdu.TextResponse(
            final=True,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
        ),
        "24800000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000000 00000000 00000000",
    ),
    (
        "§11.12 Login Request",
        pdu.LoginRequest(
            transit=True,
            current_stage=1,
            next_stage=3,
            version_max=2,
            version_min=1,
            isid=0x0123_4567_89AB,
            tsih=0xCDEF,
            initiator_task_tag=ITT,
            cid=0x5152,
            cmd_sn=SN,
            exp_stat_sn=EXP,
        ),
        "43870201 00000000 01234567 89abcdef a1a2a3a4 51520000 c1c2c3c4 d1d2d3d4 00000000 00000000 00000000 00000000",
    ),
    (
        "§11.13 Login Response",
        pdu.LoginResponse(
            continue_=True,
            current_stage=1,
            version_max=2,
            version_active=1,
            isid=0x0123_4567_89AB,
            tsih=0xCDEF,
            initiator_task_tag=ITT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            status=0x0207,
        ),
        "23440201 00000000 01234567 89abcdef a1a2a3a4 00000000 c1c2c3c4 d1d2d3d4 e1e2e3e4 02070000 00000000 00000000",
    ),
    (
        "§11.14 Logout Request",
        pdu.LogoutRequest(is_immediate=True, reason=1, initiator_task_tag=ITT, cid=0x5152, cmd_sn=SN, exp_stat_sn=EXP),
        "46810000 00000000 00000000 00000000 a1a2a3a4 51520000 c1c2c3c4 d1d2d3d4 00000000 00000000 00000000 00000000",
    ),
    (
        "§11.15 Logout Response",
        pdu.LogoutResponse(
            response=1,
            initiator_task_tag=ITT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
            time2wait=0x0102,
            time2retain=0x0304,
        ),
        "26800100 00000000 00000000 00000000 a1a2a3a4 00000000 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000000 01020304 00000000",
    ),
    (
        "§11.16 SNACK Request",
        pdu.SnackRequest(
            snack_type=1,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            exp_stat_sn=EXP,
            beg_run=COUNT,
            run_length=OFFSET,
        ),
        "10810000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 00000000 d1d2d3d4 00000000 00000000 11121314 21222324",
    ),
    (
        "§11.17 Reject",
        pdu.Reject(reason=4, stat_sn=SN, exp_cmd_sn=EXP, max_cmd_sn=MAX, data_sn=COUNT),
        "3f800400 00000000 00000000 00000000 ffffffff 00000000 c1c2c3c4 d1d2d3d4 e1e2e3e4 11121314 00000000 00000000",
    ),
    (
        "§11.18 NOP-Out",
        pdu.NopOut(
            is_immediate=True,
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            cmd_sn=SN,
            exp_stat_sn=EXP,
        ),
        "40800000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 00000000 00000000 00000000 00000000",
    ),
    (
        "§11.19 NOP-In",
        pdu.NopIn(
            lun=LUN,
            initiator_task_tag=ITT,
            target_transfer_tag=TTT,
            stat_sn=SN,
            exp_cmd_sn=EXP,
            max_cmd_sn=MAX,
        ),
        "20800000 00000000 01020304 05060708 a1a2a3a4 b1b2b3b4 c1c2c3c4 d1d2d3d4 e1e2e3e4 00000000 00000000 00000000",
    ),
]


@pytest.mark.parametrize(("value", "figure"), [row[1:] for row in FIGURES], ids=[row[0] for row in FIGURES])
def test_a_header_is_laid_out_as_in_its_figure(value: Pdu, figure: str) -> None:
    """Every field stands where the RFC draws it, and is read back from there."""
    assert value.to_bhs().hex(" ", 4) == figure
    assert type(value).from_bhs(bytes.fromhex(figure)) == value


def test_every_pdu_has_its_figure() -> None:
    """The rows above and the classes that the codec knows are the same."""
    assert {row[1].opcode for row in FIGURES} == set(PDU_CLASSES)


@pytest.mark.parametrize("kind", PDU_CLASSES.values(), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_any_values_survive_the_header(kind: type[Pdu], data: st.DataObject) -> None:
    """What `to_bhs` writes, `from_bhs` reads."""
    value = data.draw(pdus_of(kind))
    if isinstance(value, pdu.ScsiCommand):
        value.cdb, value.bidirectional_read_data_length = value.cdb[:16], None
    value.data_segment = b""
    assert kind.from_bhs(value.to_bhs()) == value


@pytest.mark.parametrize("kind", [*PDU_CLASSES.values(), UnknownPdu], ids=lambda kind: kind.__name__)
@given(header=st.binary(min_size=48, max_size=48))
def test_any_48_bytes_are_a_header(kind: type[Pdu], header: bytes) -> None:
    """Reading never fails on a value that nobody defined: what acts on it decides."""
    assert isinstance(kind.from_bhs(header), kind)


def test_an_unknown_pdu_keeps_its_header() -> None:
    """A Reject quotes it, and answers it with its task tag."""
    header = bytes.fromhex("5d800000 00000000 01020304 05060708 a1a2a3a4 00000000 c1c2c3c4 d1d2d3d4") + bytes(16)
    unknown = UnknownPdu.from_bhs(header)
    assert (unknown.received_opcode, unknown.is_immediate, unknown.initiator_task_tag) == (0x1D, True, ITT)
    assert (unknown.cmd_sn, unknown.exp_stat_sn) == (SN, EXP)
    assert unknown.to_bhs() == header
