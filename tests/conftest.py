"""What holds for all tests."""

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support.debian_package import build_package

# How long an example takes says something of the machine and of who else uses it, nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Tests start hundreds of programs, which need not be compiled each time; so workers of pytest, too.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_GUESTS = "tests/interop/vm/"
_LONGEST = (_GUESTS, "tests/conformance/test_libiscsi.py", "tests/faults/test_durability.py")


def pytest_sessionstart() -> None:
    """While tests are collected there is no garbage to find."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: beside it, other processes do all the rest."""
    items.sort(key=lambda item: next((at for at, place in enumerate(_LONGEST) if place in item.nodeid), len(_LONGEST)))


def pytest_collection_finish() -> None:
    """What has been collected stays to the end: half a million objects, for which no test stands still now and then."""
    gc.collect()
    gc.freeze()
    gc.enable()


class OneGuestScheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file of tests runs as a whole in one process, and all that use the virtual machine in the same one.

    They begin in their order, not by their number of tests: the many short ones of tests/unit come last, so that all
    processes end at about the same time.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return _GUESTS if nodeid.startswith(_GUESTS) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneGuestScheduling | None:
    """For `--dist loadfile`."""
    return OneGuestScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def debian_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make deb` builds, which takes most of a minute."""
    return build_package(tmp_path_factory.mktemp("package"))
