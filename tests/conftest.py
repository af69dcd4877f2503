"""What holds for all tests."""

import gc
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# How long an example takes says something of the machine and of who else uses it, nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Tests start hundreds of programs, which need not be compiled each time; so workers of pytest, too.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_sessionstart() -> None:
    """While tests are collected there is no garbage to find."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What has been collected stays to the end: half a million objects, for which no test stands still now and then."""
    gc.collect()
    gc.freeze()
    gc.enable()


class OneGuestScheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file of tests runs as a whole in one process, and all that use the virtual machine in the same one.

    They begin in their order: the many short ones of tests/unit come last, so that all processes end at about the same time.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        directory = "tests/interop/vm/"
        return directory if nodeid.startswith(directory) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneGuestScheduling | None:
    """For `--dist loadfile`."""
    return OneGuestScheduling(config, log) if config.getoption("dist") == "loadfile" else None
