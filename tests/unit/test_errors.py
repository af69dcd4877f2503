import errno

import pytest

from isthmus.errors import BackstoreError, ConfigurationError, IsthmusError, LocalProtocolError, RemoteProtocolError


@pytest.mark.parametrize("kind", [ConfigurationError, LocalProtocolError, RemoteProtocolError])
def test_one_base(kind: type[IsthmusError]) -> None:
    """Whatever Isthmus raises on purpose can be caught as one."""
    assert issubclass(kind, IsthmusError)
    assert issubclass(BackstoreError, IsthmusError)


def test_a_configuration_error_names_its_remedy() -> None:
    """The text is the problem and, if there is one, the remedy."""
    error = ConfigurationError("port 3260 is in use", "choose another one")
    assert (str(error), error.problem, error.remedy) == (
        "port 3260 is in use: choose another one",
        "port 3260 is in use",
        "choose another one",
    )
    assert str(ConfigurationError("port 3260 is in use")) == "port 3260 is in use"


def test_a_backstore_error_keeps_the_systems_reason() -> None:
    """The errno and the place of the first bad byte stay with the error."""
    error = BackstoreError(errno.EIO, "the disk is on fire", offset=4096)
    assert (str(error), error.errno, error.offset) == ("the disk is on fire", errno.EIO, 4096)
    assert BackstoreError(errno.EIO, "somewhere").offset is None
