import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.cli.main import isthmus_command
from isthmus.management.errors import DaemonUnreachableError
from tests.support.fake_daemon import FakeDaemon
from tests.support.patience import PATIENCE
from tests.unit.cli.verbs.conftest import Run

TARGET = "iqn.2026-01.com.example:one"
HOST = "iqn.2026-01.com.example:host"


def offered(*words: str) -> list[str]:
    """What is offered for the last word."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415  only this needs it

    complete = ShellComplete(isthmus_command, {}, "isthmus", "_ISTHMUS_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_verbs_and_options() -> None:
    """Of every level."""
    assert set(offered("back")) == {"backstore", "backstores"}
    assert offered("backstore", "re") == ["resize"]
    assert "--force" in offered("backstore", "delete", "--f")


def test_names_of_what_there_is(run: Run) -> None:
    """Backstores, targets and initiators, from the daemon."""
    run("backstore create ramdisk/a --size 1M")
    run(f"target create {TARGET}")
    run(f"acl create {TARGET} {HOST}")
    assert offered("backstore", "delete", "ram") == ["ramdisk/a"]
    assert offered("target", "delete", "iqn") == [TARGET]
    assert offered("acl", "unmap", TARGET, "iqn") == [HOST]
    run(f"initiator-group create {TARGET} web")
    assert offered("initiator-group", "delete", TARGET, "w") == ["web"]
    assert offered("lun", "create", TARGET, "x") == []


def test_without_a_daemon_there_are_no_names(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no error in the middle of the user's line."""

    def unreachable() -> None:
        raise DaemonUnreachableError("nobody is there")

    monkeypatch.setattr(daemon, "configuration", unreachable)
    assert offered("target", "delete", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(run: Run, shell: str) -> None:
    """It calls the program back in the way of that shell."""
    script = run(f"completion {shell}")
    assert f"_ISTHMUS_COMPLETE={shell}_complete" in script
    assert script.count("isthmus") > 2


def test_a_real_bash_takes_it(run: Run, tmp_path: Path) -> None:
    """It completes a verb with the program itself."""
    (tmp_path / "isthmus").write_text(f'#!/bin/sh\nexec {sys.executable} -m isthmus "$@"\n')
    (tmp_path / "isthmus").chmod(0o755)
    script = run("completion bash") + (
        '\nCOMP_WORDS=(isthmus backstore re) COMP_CWORD=2; _isthmus_completion isthmus re backstore; echo "${COMPREPLY[*]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "ISTHMUS_RUN": str(tmp_path)}
    command = ["bash", "--norc", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=PATIENCE)
    assert ran.stdout.strip() == "resize"
