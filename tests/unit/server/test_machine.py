from pathlib import Path

import pytest

from isthmus.config.model import BackstoreKey
from isthmus.server import machine


def test_the_machine_is_known_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine has been given tells it from others."""
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(machine, "_MACHINE_ID", path)
    assert machine.machine_identity() == "0123456789abcdef0123456789abcdef"


def test_a_machine_without_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has been given nothing has nothing to tell."""
    monkeypatch.setattr(machine, "_MACHINE_ID", tmp_path / "missing")
    assert machine.machine_identity() == ""


def test_serial_numbers_are_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name always gives the same number on one machine, and another one elsewhere and for other backstores."""
    disk = BackstoreKey("fileio", "disk01")
    numbers = {
        machine.machine_serial(disk),
        machine.machine_serial(disk),
        machine.machine_serial(BackstoreKey("block", "disk01")),
    }
    assert len(numbers) == 2
    monkeypatch.setattr("isthmus.server.machine.machine_identity", lambda: "another machine")
    assert machine.machine_serial(disk) not in numbers
    monkeypatch.setattr("isthmus.server.machine.socket.gethostname", lambda: "another host")
    assert machine.machine_serial(disk) not in numbers
