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
