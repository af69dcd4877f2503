from isthmus.errors import ConfigurationError, IsthmusError
from isthmus.management.errors import BusyError, DaemonError, DaemonUnreachableError, RevisionConflictError


def test_a_busy_thing_names_who_holds_it() -> None:
    """So that the operator can end that, or knows what force would end."""
    error = BusyError("LUN 3", ("iqn.2026-05.com.example:db", "iqn.2026-05.com.example:web"))
    assert "is in use by iqn.2026-05.com.example:db, iqn.2026-05.com.example:web" in str(error)
    assert error.holders == ("iqn.2026-05.com.example:db", "iqn.2026-05.com.example:web")
    assert isinstance(error, ConfigurationError)


def test_the_daemons_errors_are_not_the_operators() -> None:
    """They end a command with another exit status."""
    for kind in (DaemonUnreachableError, RevisionConflictError):
        assert issubclass(kind, DaemonError)
    assert issubclass(DaemonError, IsthmusError)
    assert not issubclass(DaemonError, ConfigurationError)
