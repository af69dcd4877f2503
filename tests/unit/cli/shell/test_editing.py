from functools import partial

import pytest

from isthmus.cli.shell.editing import Editor
from isthmus.management.errors import RevisionConflictError
from isthmus.management.target_edits import create_target
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
