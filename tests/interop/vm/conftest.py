"""A virtual machine as client; its image is built at the first use."""

import contextlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest, GuestError, running_guest
from tests.interop.vm.image.build import COMMANDS, ensure_image
from tests.support.server import Serve

CLEANING = """
umount -a -t ext4,xfs 2> /dev/null || true
iscsiadm -m node -u > /dev/null 2>&1 || true
iscsiadm -m node -o delete > /dev/null 2>&1 || true
iscsiadm -m discoverydb -o delete > /dev/null 2>&1 || true
[ -z "$(ls /sys/class/iscsi_session 2> /dev/null)" ]
"""


def why_not() -> str | None:
    """What the machine lacks for building and starting the guest; None if nothing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [command for command in COMMANDS if not shutil.which(command, path=path)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if os.geteuid() == 0 else "not root, and the image is built with chroot"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that wants the guest, give it time, and skip it where there can be none."""
    reason = why_not()
    for item in items:
        if "guest" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.vm)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each file's tests have taken, in all, if it is worth a word: docs/clients.md has these."""
    seconds = defaultdict[str, float](float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("seconds by file")
    for name, taken in sorted(seconds.items()):
        if taken >= 1:
            terminalreporter.write_line(f"{taken:6.0f} {name}")


class Guests:
    """The guest that the tests use one after the other; another takes its place when it had to be stopped."""

    def __init__(self, name: str, factory: pytest.TempPathFactory, stack: contextlib.ExitStack) -> None:
        """`name` is the last part of the initiator's."""
        self._name = name
        self._factory = factory
        self._stack = stack
        self._current: Guest | None = None

    @contextlib.contextmanager
    def clean(self) -> Iterator[Guest]:
        """The guest, started if it does not run, without sessions, records of targets and mounts; cleaned at the end."""
        guest = self._current
        if guest is None or not guest.is_running:
            guest = self._stack.enter_context(running_guest(ensure_image(), self._factory.mktemp(self._name)))
            guest.run(f"INITIATOR=iqn.2026-01.com.example:{self._name}\nstart_iscsid\n")
            self._current = guest
        yield guest
        if guest.is_running:
            try:
                guest.run(CLEANING, seconds=60)
            except GuestError:
                guest.stop()

    def stop(self) -> None:
        """Nobody wants one for now, and it would take its share of the processor."""
        if self._current is not None:
            self._current.stop()


_GUESTS = pytest.StashKey[Guests]()


@pytest.fixture(scope="session")
def _guests(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    with contextlib.ExitStack() as stack:
        guests = pytestconfig.stash[_GUESTS] = Guests("guest", tmp_path_factory, stack)
        yield guests


@pytest.fixture(scope="module")
def _other_guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    with contextlib.ExitStack() as stack:
        yield Guests("other", tmp_path_factory, stack)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test of this directory, the guest goes."""
    guests = item.config.stash.get(_GUESTS, None)
    if guests is not None and (nextitem is None or not nextitem.path.is_relative_to(Path(__file__).parent)):
        guests.stop()


@pytest.fixture
def guest(serve: Serve, _guests: Guests) -> Iterator[Guest]:  # after `serve`, so that it is cleaned before
    """A machine with an initiator; it leaves its server before that is stopped."""
    with _guests.clean() as guest:
        yield guest


@pytest.fixture
def other_guest(serve: Serve, _other_guests: Guests) -> Iterator[Guest]:
    """A second machine, with an initiator of another name."""
    with _other_guests.clean() as guest:
        yield guest


@pytest.fixture
def disk_file(tmp_path: Path) -> Path:
    """A file of 400 MiB to be served, sparse; the smallest that mkfs.xfs takes is 300 MB."""
    path = tmp_path / "disk.img"
    with path.open("xb") as file:
        file.truncate(400 << 20)
    return path
