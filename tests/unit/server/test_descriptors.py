import resource
from collections.abc import Iterator

import pytest

from isthmus.server.descriptors import raise_descriptor_limit


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Those of this process, put back afterwards."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, found)


def test_as_many_as_are_allowed(limits: tuple[int, int]) -> None:
    """From whatever was usual."""
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert raise_descriptor_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_where_that_is_refused_it_stays(limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may not let it change; fewer disks are better than none."""

    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", refused)
        assert raise_descriptor_limit() == limits[0]
