"""What holds for all tests."""

import gc
import os

from hypothesis import HealthCheck, settings

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
