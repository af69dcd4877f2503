import pytest

from tests.support.typist import Typist


@pytest.fixture
def typist(capsys: pytest.CaptureFixture[str]) -> Typist:
    """A shell on an empty daemon."""
    return Typist(capsys)
