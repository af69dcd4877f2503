from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.compat import formats
from isthmus.compat.formats import Format
from isthmus.compat.importer import Exported, Finding, Imported, Surroundings
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.management import client
from tests.support.fake_daemon import FakeDaemon


def read_lines(text: str, name: str, surroundings: Surroundings) -> Imported:
    """A format with a file to a line; a line with a blank cannot be done."""
    stores, findings = {}, []
    for number, line in enumerate(text.splitlines(), start=1):
        if " " in line:
            findings.append(Finding(name, number, f"a file called {line!r}", "it is left out"))
            continue
        key = BackstoreKey("fileio", Path(line).name)
        stores[key] = Backstore(key=key, path=line, unit_serial=surroundings.new_serial(key))
    return Imported(Configuration(backstores=stores), tuple(findings))


def write_lines(configuration: Configuration) -> Exported:
    """The same, written."""
    lines = [f"{store.path}\n" for store in configuration.backstores.values()]
    return Exported("".join(lines), ("sizes have no place",))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the commands speak to, and a format that they know."""
    fake = FakeDaemon()
    monkeypatch.setattr(client, "Client", lambda: fake)
    row = Format(about="lines", default_file="/nowhere", reads="lines:read", writes="lines:write")
    monkeypatch.setattr(formats, "_load", {"lines:read": read_lines, "lines:write": write_lines}.__getitem__)
    monkeypatch.setitem(formats.FORMATS, KIND, row)
    return fake


KIND = next(iter(formats.FORMATS))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of the format."""
    path = tmp_path / "files"
    path.write_text("/srv/a\n/srv/b c\n")
    return path


def paths(daemon: FakeDaemon) -> list[str]:
    """The storage of what runs."""
    return [store.path for store in daemon.running.backstores.values()]


def test_a_file_becomes_what_runs(daemon: FakeDaemon, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan is shown and done, and what cannot be done is told with its line."""
    assert main.run(["import", KIND, str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == "+ /backstores/fileio/a in /srv/a\n1 change made, revision 2\n"
    assert err == f"isthmus: {file}:2: a file called '/srv/b c': it is left out\n"
    assert paths(daemon) == ["/srv/a"]


def test_a_dry_run_changes_nothing(daemon: FakeDaemon, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It only shows the plan."""
    assert main.run(["import", KIND, str(file), "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("1 change to make\n")
    assert paths(daemon) == []


def test_strict_refuses_what_cannot_be_done(daemon: FakeDaemon, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is changed then, and the findings are told all the same."""
    assert main.run(["import", KIND, str(file), "--strict"]) == main.EXIT_REFUSED
    assert "1 thing cannot be done as the file says, so nothing was changed" in capsys.readouterr().err
    assert paths(daemon) == []


def test_what_runs_stays_unless_it_is_to_be_replaced(daemon: FakeDaemon, file: Path, tmp_path: Path) -> None:
    """An import adds to what runs; with --replace it takes its place."""
    main.run(["import", KIND, str(file)])
    (tmp_path / "other").write_text("/srv/c\n")
    assert main.run(["import", KIND, str(tmp_path / "other")]) == 0
    assert paths(daemon) == ["/srv/a", "/srv/c"]
    assert main.run(["import", KIND, str(tmp_path / "other"), "--replace"]) == 0
    assert paths(daemon) == ["/srv/c"]


def test_a_file_that_is_not_there(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, which names it; without a FILE, it is the one of the other target."""
    assert main.run(["import", KIND]) == main.EXIT_REFUSED
    assert capsys.readouterr().err == "isthmus: /nowhere cannot be read: No such file or directory\n"


def test_an_export_in_another_format(daemon: FakeDaemon, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text goes to standard output, what has no place in it to standard error."""
    main.run(["import", KIND, str(file)])
    capsys.readouterr()
    assert main.run(["export", KIND]) == 0
    assert capsys.readouterr() == ("/srv/a\n", "isthmus: sizes have no place\n")


def test_a_format_that_nobody_writes(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names those that there are."""
    assert main.run(["export", "papyrus"]) == main.EXIT_REFUSED
    assert capsys.readouterr().err.startswith("isthmus: there is no format 'papyrus' to export: there is ")
