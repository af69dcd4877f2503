import pytest

from isthmus.cli import main
from isthmus.cli.shell import main as shell_main
from tests.support.fake_daemon import FakeDaemon


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the command finds."""
    found = FakeDaemon()
    monkeypatch.setattr("isthmus.management.client.Client", lambda: found)
    monkeypatch.setattr(shell_main, "_preferences_directory", lambda: None)
    return found


def test_words_are_one_command(daemon: FakeDaemon) -> None:
    """Whatever they look like: options are the shell's, not the program's."""
    assert main.run(["shell", "/iscsi", "create", "iqn.2026-05.com.example:a"]) == 0
    assert list(daemon.running.targets) == ["iqn.2026-05.com.example:a"]
    assert main.run(["shell", "/iscsi", "delete", "--help"]) == 1


def test_called_targetcli_it_is_the_shell(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts that call targetcli go on as they are."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/targetcli", "/iscsi", "create", "iqn.2026-05.com.example:a"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    assert list(daemon.running.targets) == ["iqn.2026-05.com.example:a"]


@pytest.mark.parametrize("word", ["--version", "-v", "version"])
def test_the_version_is_asked_for_as_of_targetcli(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    """By an option or by a command."""
    assert main.run(["shell", word]) == 0
    assert "isthmus version" in "".join(capsys.readouterr())


def test_there_is_no_doing_without_the_daemon(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Targetcli's option sets a preference, which means nothing here."""
    assert main.run(["shell", "--disable-daemon"]) == 0
    assert "auto_use_daemon is now 'false'" in capsys.readouterr().out
