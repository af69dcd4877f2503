import pytest

from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.reserve_out_parameters import parse_move_parameters, parse_parameters
from isthmus.scsi.spc.transport_id import transport_id
from tests.support.primary import reserve_out_list
from tests.support.reservations import initiator_device_id, move_list, specified_ports_list

ACTIONS = [action for action in ReserveOutAction if action is not ReserveOutAction.REGISTER_AND_MOVE]
REGISTERING = {ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY}
REGISTER = ReserveOutAction.REGISTER
PORT = transport_id("iqn.2026-01.com.example:host,i,0x00023d000001")
DEVICE = initiator_device_id("iqn.2026-01.com.example:host")
LENGTH_ERROR = (Sense.PARAMETER_LIST_LENGTH_ERROR, None)


def in_list(byte: int, bit: int | None = None) -> tuple[Sense, FieldPointer]:
    """How a field of the list is refused."""
    return Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(byte, bit, in_cdb=False)


@pytest.mark.parametrize("action", ACTIONS)
def test_keys(action: ReserveOutAction) -> None:
    """Both keys are the first 16 bytes."""
    parameters = parse_parameters(reserve_out_list(0x0102030405060708, 0xFFFFFFFFFFFFFFFE), action)
    assert parameters.reservation_key == 0x0102030405060708
    assert parameters.service_action_reservation_key == 0xFFFFFFFFFFFFFFFE
    assert not parameters.activate_persist
    assert not parameters.all_target_ports
    assert parameters.transport_ids is None


@pytest.mark.parametrize("action", ACTIONS)
def test_flags(action: ReserveOutAction) -> None:
    """APTPL is taken as it is, ALL_TG_PT counts for registrations only, and is refused for REPLACE LOST RESERVATION."""
    assert parse_parameters(reserve_out_list(flags=0x01), action).activate_persist
    if action is ReserveOutAction.REPLACE_LOST_RESERVATION:
        with pytest.raises(CheckCondition) as caught:
            parse_parameters(reserve_out_list(flags=0x04), action)
        assert (caught.value.sense_data.sense, caught.value.sense_data.specific) == in_list(20, 2)
    else:
        assert parse_parameters(reserve_out_list(flags=0x04), action).all_target_ports is (action in REGISTERING)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action is not REGISTER])
def test_only_register_specifies_initiator_ports(action: ReserveOutAction) -> None:
    """SPEC_I_PT is refused for every other service action (SPC-5 table 216)."""
    with pytest.raises(CheckCondition) as caught:
        parse_parameters(specified_ports_list(0, 1, PORT), action)
    assert (caught.value.sense_data.sense, caught.value.sense_data.specific) == in_list(20, 3)


def test_specified_initiator_ports() -> None:
    """The TransportIDs follow their length; what is behind them does not count."""
    data = specified_ports_list(0, 1, PORT, DEVICE, flags=0x05)
    parameters = parse_parameters(data, REGISTER)
    assert parameters.transport_ids is not None
    assert [one.offset for one in parameters.transport_ids] == [28, 28 + len(PORT)]
    assert parameters.all_target_ports
    assert parameters.activate_persist
    assert parse_parameters(data + bytes(7), REGISTER) == parameters
    assert parse_parameters(specified_ports_list(0, 1), REGISTER).transport_ids == ()


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (reserve_out_list() + b"\0", LENGTH_ERROR),
        (reserve_out_list(flags=0x08), LENGTH_ERROR),
        (reserve_out_list(flags=0x08) + bytes(3), LENGTH_ERROR),
        (specified_ports_list(0, 1, PORT, length=len(PORT) + 1), LENGTH_ERROR),
        (specified_ports_list(0, 1, PORT, length=0xFFFFFFFF), LENGTH_ERROR),
        (specified_ports_list(0, 1, PORT, length=len(PORT) - 1), in_list(30)),
        (specified_ports_list(0, 1, PORT, b"\x40" + PORT[1:]), in_list(28 + len(PORT), 3)),
    ],
)
def test_refused(data: bytes, refusal: tuple[Sense, FieldPointer | None]) -> None:
    """A list has the length that it says it has, and holds whole TransportIDs."""
    with pytest.raises(CheckCondition) as caught:
        parse_parameters(data, REGISTER)
    assert (caught.value.sense_data.sense, caught.value.sense_data.specific) == refusal


def test_move() -> None:
    """REGISTER AND MOVE has a list of its own, with one initiator port and one target port."""
    parameters = parse_move_parameters(move_list(3, 4, PORT, port=0x0102, flags=0x02) + bytes(4))
    assert (parameters.reservation_key, parameters.service_action_reservation_key) == (3, 4)
    assert (parameters.unregister, parameters.activate_persist) == (True, False)
    assert parameters.relative_target_port_id == 0x0102
    assert parameters.transport_id.offset == 24
    assert parse_move_parameters(move_list(3, 4, PORT, flags=0x01)).activate_persist


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (move_list(3, 4, PORT, length=len(PORT) + 1), LENGTH_ERROR),
        (move_list(3, 4, b""), in_list(20)),
        (move_list(3, 4, PORT, length=20), in_list(20)),
        (move_list(3, 4, PORT + PORT), in_list(20)),
        (move_list(3, 4, PORT, length=len(PORT) - 4), in_list(26)),
        (move_list(3, 4, DEVICE), in_list(24, 7)),
        (move_list(3, 4, b"\x46" + PORT[1:]), in_list(24, 3)),
    ],
)
def test_move_refused(data: bytes, refusal: tuple[Sense, FieldPointer | None]) -> None:
    """It must name just one initiator port, and all of its name."""
    with pytest.raises(CheckCondition) as caught:
        parse_move_parameters(data)
    assert (caught.value.sense_data.sense, caught.value.sense_data.specific) == refusal
