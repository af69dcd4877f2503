from dataclasses import FrozenInstanceError, dataclass

import pytest

from isthmus.scsi.cdb import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Command):
    """A command with one field."""

    field: int


def test_a_command_asks_for_nothing_of_itself() -> None:
    """Data-out and a reservation class of its own are for the commands that say so."""
    command = Probe(field=1)
    assert command.data_out_length == 0
    assert command.reservation_class is None
    assert not command.length_is_the_initiators
    assert command.expecting(512) is command


def test_a_command_is_a_value() -> None:
    """What a CDB says does not change while its task waits."""
    command = Probe(field=1)
    assert command == Probe(field=1)
    with pytest.raises(FrozenInstanceError):
        command.field = 2  # type: ignore[misc]
