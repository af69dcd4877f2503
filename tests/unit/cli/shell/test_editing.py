from functools import partial

import pytest

from isthmus.cli.shell.editing import Editor
from isthmus.config.model import BackstoreKey, Portal
from isthmus.management.errors import RevisionConflictError
from isthmus.management.target_edits import create_target
from isthmus.management.views import BackstoreView, PortalView
from isthmus.names import IscsiName
from tests.support.fake_daemon import FakeDaemon

NAME = IscsiName("iqn.2026-05.com.example:a")


def test_an_edit_runs_at_the_daemon_and_shows_here() -> None:
    """What is shown next is what runs."""
    daemon = FakeDaemon(warnings=("mind the gap",))
    changes: list[bool] = []
    editor = Editor(daemon, lambda: changes.append(True))
    assert editor.edit(partial(create_target, name=NAME)) == ("mind the gap",)
    assert list(editor.configuration.targets) == [NAME] == list(daemon.running.targets)
    assert changes == [True]


def test_it_gives_up_when_everybody_else_is_always_quicker() -> None:
    """After a few tries the operator decides."""
    editor = Editor(FakeDaemon(conflicts=100))
    with pytest.raises(RevisionConflictError, match="try again"):
        editor.edit(partial(create_target, name=NAME))


class Counting(FakeDaemon):
    """Notes what it is asked."""

    asked = 0

    def backstores(self) -> list[BackstoreView]:
        self.asked += 1
        return [BackstoreView(path="/backstores/ramdisk/r", size=1, block_length=512, active=False)]


def test_what_runs_is_fetched_once_for_a_command() -> None:
    """And again after an edit, and for the next."""
    daemon = Counting()
    editor = Editor(daemon)
    for key in ("r", "r", "s"):
        assert (editor.backstore(BackstoreKey("ramdisk", key)) is None) is (key == "s")
    assert daemon.asked == 1
    editor.edit(partial(create_target, name=NAME))
    editor.backstore(BackstoreKey("ramdisk", "r"))
    assert daemon.asked == 2
    editor.forget_what_runs()
    editor.backstore(BackstoreKey("ramdisk", "r"))
    assert daemon.asked == 3


def test_a_portal_is_found_by_its_group() -> None:
    """Two targets may have the same one."""
    view = PortalView(target_name=NAME, target_portal_group_tag=2, portal="[::]:3260", listening=True)
    editor = Editor(FakeDaemon(known_portals=(view,)))
    assert editor.portal(NAME, 2, Portal("::")) is view
    assert editor.portal(NAME, 1, Portal("::")) is None
