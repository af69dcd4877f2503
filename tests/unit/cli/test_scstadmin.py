import io
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.cli.scstadmin import parse
from isthmus.config.model import BackstoreKey
from isthmus.errors import ConfigurationError
from isthmus.management import client
from tests.support.fake_daemon import FakeDaemon

NAME = "iqn.2026-01.org.example:t"


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the command speaks to, with a disk."""
    fake = FakeDaemon()
    monkeypatch.setattr(client, "Client", lambda: fake)
    assert run("-open_dev d -handler vdisk_nullio -attributes size=1048576") == 0
    return fake


def run(line: str) -> int:
    """The exit status of a call."""
    return main.run(["scstadmin", *line.split()])


@pytest.mark.parametrize(
    ("line", "verb", "operand", "words", "flags"),
    [
        ("-list_target", "list_target", "", {}, set()),
        ("-list_target t -driver iscsi", "list_target", "t", {"driver": "iscsi"}, set()),
        ("-list_target -driver iscsi", "list_target", "", {"driver": "iscsi"}, set()),
        ("--list_target=t", "list_target", "t", {}, set()),
        ("-noprompt -rem_lun 0 -force", "rem_lun", "0", {}, {"noprompt", "force"}),
        ("-clear_luns -group g", "clear_luns", "", {"group": "g"}, set()),
        ("-open_dev d -attr a=-1,b", "open_dev", "d", {"attributes": "a=-1,b"}, set()),
        ("-list_tgr -dev_g x", "list_tgrp", "", {"dev_group": "x"}, set()),
    ],
)
def test_options_are_read_as_scstadmin_does(
    line: str, verb: str, operand: str, words: dict[str, str], flags: set[str]
) -> None:
    """One hyphen or two, in any order, and shortened as long as it is clear."""
    if line.startswith("-list_tgr "):
        with pytest.raises(ConfigurationError, match="-list_tgr may be -list_tgrp, -list_tgrp_attr"):
            parse(line.split())
        return
    request, found = parse(line.split())
    assert (request.verb, request.operand, dict(request.words), set(found)) == (verb, operand, words, flags)
    assert request.force is ("force" in flags)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("list_target", "'list_target' is neither a verb nor a modifier: each begins with a hyphen"),
        ("-frobnicate", "-frobnicate is not known"),
        ("-add_target", "-add_target wants a word"),
        ("-list_target -list_group", "-list_target and -list_group are two verbs: one at a time"),
    ],
)
def test_nonsense_is_one_line(line: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is changed."""
    assert run(line) == 2
    assert capsys.readouterr().err.startswith(f"isthmus: {problem}")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for, it is done; without a verb, it was meant otherwise."""
    assert (run("-h"), run("")) == (0, 1)
    assert capsys.readouterr().out.count("-add_lun") == 2


def test_the_program_may_be_called_scstadmin() -> None:
    """By a link."""
    assert list(main.CALLED["scstadmin"]) == ["scstadmin"]


def test_verbs_change_what_runs(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Step by step; each change is a line."""
    assert run(f"-add_target {NAME} -driver iscsi") == 0
    assert run(f"-add_lun 0 -driver iscsi -target {NAME} -device d") == 0
    capsys.readouterr()
    assert run(f"-enable_target {NAME} -driver iscsi") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Collecting current configuration: done.",
        "",
        "-> Making requested changes.",
        f"\t~ /iscsi/{NAME}/tpg1 enabled",
        "-> Done, 1 change(s) made.",
        "",
        "All done.",
    ]
    (target,) = daemon.running.targets.values()
    assert [lun.backstore for lun in target.portal_groups[0].luns] == [BackstoreKey("null", "d")]


def test_debug_only_shows(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be changed."""
    assert run(f"-add_target {NAME} -driver iscsi -debug") == 0
    assert f"+ /iscsi/{NAME}" in capsys.readouterr().out
    assert daemon.running.targets == {}


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_what_takes_away_is_asked_first(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    """Unless -noprompt says not to."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert run("-close_dev d -handler vdisk_nullio") == 0
    assert len(daemon.running.backstores) == left


def test_all_of_it_is_cleared(daemon: FakeDaemon) -> None:
    """Also what is in use."""
    daemon.holders = ("somebody",)
    assert run("-clear_config -noprompt") == 0
    assert (daemon.running.backstores, daemon.running.targets) == ({}, {})


def test_lists_and_sessions(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Between the lines that scstadmin always prints."""
    assert (run("-list_device"), run("-list_sessions")) == (0, 0)
    out = capsys.readouterr().out
    assert "\tvdisk_nullio     d\n" in out
    assert out.endswith("\nAll done.\n")


def test_what_has_no_meaning_here_is_named(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """In one clear line."""
    assert run("-issue_lip") == 2
    assert capsys.readouterr().err == "isthmus: -issue_lip is not done here: there is no Fibre Channel here\n"


def test_files_are_written_checked_and_applied(
    daemon: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """-write_config, -check_config and -config; with -force what is not in the file goes."""
    file = tmp_path / "scst.conf"
    assert run(f"-write_config {file}") == 0
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().replace("DEVICE d", "DEVICE e"))
    assert run(f"-check_config {file}") == 0
    assert [key.name for key in daemon.running.backstores] == ["d"]
    assert "Configuration checked, 1 change(s) to make." in capsys.readouterr().out
    assert run(f"-config {file}") == 0
    assert [key.name for key in daemon.running.backstores] == ["d", "e"]
    assert run(f"-config {file} -force -noprompt") == 0
    assert [key.name for key in daemon.running.backstores] == ["e"]
    assert run(f"-write_config {tmp_path}") == 2
