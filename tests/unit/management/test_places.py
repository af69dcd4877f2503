from pathlib import Path

import pytest

from isthmus.management.places import control_socket, default_run_directory


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests."""
    for name in ("ISTHMUS_RUN", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_what_the_operator_says_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """ISTHMUS_RUN, for root as for anybody."""
    monkeypatch.setenv("ISTHMUS_RUN", "/srv/run")
    assert control_socket() == Path("/srv/run/control.sock")


def test_a_service_has_its_place_in_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is /run (FHS §3.15)."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_run_directory() == Path("/run/isthmus")


@pytest.mark.parametrize(("runtime", "is_used"), [("/run/user/1000", True), ("relative", False), ("", False)])
def test_a_user_has_a_runtime_directory_or_a_name_of_its_own(
    monkeypatch: pytest.MonkeyPatch, runtime: str, is_used: bool
) -> None:
    """XDG_RUNTIME_DIR counts if it is absolute; else the user's number keeps users apart."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    directory = default_run_directory()
    assert directory == Path("/run/user/1000/isthmus") if is_used else directory.name == "isthmus-1000"


def test_a_run_directory_can_be_given() -> None:
    """Then nothing else is looked at."""
    assert control_socket(Path("/x")) == Path("/x/control.sock")
