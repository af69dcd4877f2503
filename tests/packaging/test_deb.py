"""The Debian package, as administrators have it: installed, run, upgraded, removed and purged, in a Debian of its own."""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.build_deb import project_version
from tests.support.clients import needs, run_client
from tests.support.daemon import free_port
from tests.support.debian_package import build_package, higher_version
from tests.support.debian_tree import Tree, debian_tree, why_no_trees
from tests.support.patience import PATIENCE
from tests.support.server import lines_of

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(1800),
    needs("dh", "dpkg-buildpackage"),
    pytest.mark.skipif(why_no_trees() is not None, reason=str(why_no_trees())),
]

TARGET = "iqn.2026-05.com.example:packed"
STATE = "/var/lib/isthmus"
DISK = "/srv/iscsi/disk01.img"
LONG_PATIENCE = 6 * PATIENCE
"""Seconds: what is quick elsewhere may take longer beside the building of packages."""
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> /systemctl.log
case "$*" in *is-enabled*) echo enabled ;; esac
"""


@pytest.fixture(scope="module")
def higher(debian_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under a higher version."""
    return higher_version(debian_package, tmp_path_factory.mktemp("higher"))


@pytest.fixture(scope="module")
def tree(debian_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A system with the package, for tests that leave it as it is."""
    with debian_tree(tmp_path_factory.mktemp("shared")) as made:
        made.install(debian_package)
        yield made


@pytest.fixture
def own_tree(debian_package: Path, tmp_path: Path) -> Iterator[Tree]:
    """A system with the package, for one test."""
    with debian_tree(tmp_path) as made:
        made.install(debian_package)
        yield made


@contextlib.contextmanager
def daemon(tree: Tree, port: int) -> Iterator[None]:
    """`isthmusd` as the unit runs it: its user, its environment, its directories; stopped in order at the end."""
    tree.run("install", "-d", "-o", "isthmus", "-g", "isthmus", "-m", "711", "/run/isthmus")
    user = ["setpriv", "--reuid=isthmus", "--regid=isthmus", "--init-groups", "--no-new-privs"]
    setting = [f"ISTHMUS_STATE={STATE}", "ISTHMUS_RUN=/run/isthmus"]
    words = [*user, "env", *setting, "isthmusd", "--control-group", "isthmus", "--portal", f"127.0.0.1:{port}"]
    script = 'echo $$; exec "$@"'
    with subprocess.Popen(tree.command("sh", "-c", script, "sh", *words), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = lines_of(process.stdout)
        try:
            pid = (lines.get(timeout=LONG_PATIENCE) or "").strip()
            assert (lines.get(timeout=LONG_PATIENCE) or "").startswith("ready: /run/isthmus/control.sock")
            yield
            tree.run("sh", "-c", f"kill -TERM {pid}")
            assert process.wait(LONG_PATIENCE) == 0
        finally:
            process.kill()


def serve_a_disk(tree: Tree) -> None:
    """By the verbs, as root."""
    tree.run("install", "-d", "-o", "isthmus", "-g", "isthmus", str(Path(DISK).parent))
    tree.run("isthmus", "backstore", "create", "fileio/disk01", DISK, "--size", "64M")
    tree.run("isthmus", "target", "create", TARGET)
    tree.run("isthmus", "target", "set", TARGET, "generate_node_acls=1", "demo_mode_write_protect=0")
    tree.run("isthmus", "lun", "create", TARGET, "disk01")


def initiator(*words: str) -> str:
    """What a tool of libiscsi says, outside the tree."""
    done = run_client(list(words))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- installing -------------------------------------------------------------------------------------------------------


def test_it_installs_where_systemd_does_not_run(tree: Tree) -> None:
    """All of it is there, configured, and for the next start with systemd."""
    assert tree.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "isthmus").strip() == "ii"
    assert tree.run("dpkg", "--verify", "isthmus") == ""
    assert tree.run("isthmus", "--version") == f"isthmus {project_version()}\n"
    assert "Usage: isthmus daemon" in tree.run("isthmusd", "--help")
    assert tree.run("systemctl", "is-enabled", "isthmus.service").strip() == "enabled"
    assert tree.attempt("systemctl", "is-enabled", "isthmus.socket").stdout.strip() == "disabled"


def test_user_and_directory_are_made(tree: Tree) -> None:
    """The directory is closed to others, as secrets are in it."""
    user, group, mode = tree.run("stat", "-c", "%U %G %a", STATE).split()
    assert (user, group, mode) == ("isthmus", "isthmus", "700")
    assert tree.run("getent", "passwd", "isthmus").strip().endswith(f":{STATE}:/usr/sbin/nologin")


def test_its_modules_are_its_own(tree: Tree) -> None:
    """Neither a variable nor a directory of another Python's leads it elsewhere, and the system's Python has none of them."""
    directory = tree.run("python3", "-c", "import site; print(site.getsitepackages()[0])").strip()
    other = tree.path(f"{directory}/click.py")
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("raise SystemExit('the wrong one')\n")
    try:
        assert tree.attempt("python3", "-c", "import click").stderr == "the wrong one\n"
        assert "isthmus" in tree.run("env", f"PYTHONPATH={directory}", "isthmus", "--version")
    finally:
        other.unlink()
    assert tree.attempt("python3", "-c", "import isthmus").returncode == 1


def test_modules_are_compiled(tree: Tree) -> None:
    """As nobody but root could do it later."""
    package = tree.path("/usr/lib/isthmus/site-packages/isthmus")
    assert list((package / "__pycache__").glob("__init__.*.pyc"))


def test_it_is_in_no_other_targets_way(tree: Tree) -> None:
    """The commands of tgt, LIO and SCST stand in a directory of their own."""
    listed = tree.run("dpkg", "-L", "isthmus").split()
    assert {"/usr/lib/isthmus/bin/tgtadm", "/usr/lib/isthmus/bin/targetcli"} <= set(listed)
    programs = {path for path in listed if path.startswith(("/usr/bin/", "/usr/sbin/"))}
    assert programs == {"/usr/bin/isthmus", "/usr/bin/isthmusd"}
    assert tree.run("/usr/lib/isthmus/bin/tgtadm", "--version").strip() == project_version()


def test_the_manual_can_be_read(tree: Tree) -> None:
    """By man, which warns of nothing."""
    for name in ("isthmus", "isthmusd", "isthmus.toml"):
        page = next(tree.path("/usr/share/man").glob(f"man?/{name}.?.gz"))
        inside = "/" + str(page.relative_to(tree.root))
        done = tree.attempt("man", "--warnings", "-E", "UTF-8", "-l", "-P", "cat", inside)
        assert (done.returncode, done.stderr) == (0, "")
        assert "NAME" in done.stdout


def test_bash_completes(tree: Tree) -> None:
    """With the file that bash-completion loads by the command's name."""
    script = """
        . /usr/share/bash-completion/bash_completion
        _completion_loader isthmus
        COMP_WORDS=(isthmus backs) COMP_CWORD=1 COMP_LINE='isthmus backs' COMP_POINT=13
        _isthmus_completion isthmus backs isthmus
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert tree.run("bash", "-c", script).split() == ["backstores", "backstore"]


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "/usr/share/bash-completion/completions/isthmus"),
        ("zsh", "/usr/share/zsh/vendor-completions/_isthmus"),
        ("fish", "/usr/share/fish/vendor_completions.d/isthmus.fish"),
    ],
)
def test_shells_understand_their_completions(tree: Tree, shell: str, path: str) -> None:
    """Each its own."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"not installed: {shell}")
    done = subprocess.run([program, "-n", tree.path(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- running, upgrading, removing -------------------------------------------------------------------------------------


@needs("iscsi-ls", "iscsi-inq")
def test_an_upgrade_keeps_what_was_configured(own_tree: Tree, higher: Path) -> None:
    """The daemon serves as its own user; with the next version, what it has served and how is there again."""
    port = free_port()
    portal = f"iscsi://127.0.0.1:{port}"
    with daemon(own_tree, port):
        serve_a_disk(own_tree)
        assert f"{TARGET}" in initiator("iscsi-ls", "--show-luns", portal)
        before = initiator("iscsi-inq", "-e", "1", "-c", "0x83", f"{portal}/{TARGET}/0")
        assert own_tree.run("stat", "-c", "%U", DISK).strip() == "isthmus"
    own_tree.install(higher)
    assert own_tree.run("dpkg-query", "-W", "-f", "${Version}", "isthmus").startswith("9")
    with daemon(own_tree, port):
        assert initiator("iscsi-inq", "-e", "1", "-c", "0x83", f"{portal}/{TARGET}/0") == before


def test_an_upgrade_restarts_the_daemon(own_tree: Tree, higher: Path) -> None:
    """Where systemd runs; here a program in its place notes what it is asked for."""
    own_tree.path("/run/systemd/system").mkdir(parents=True, exist_ok=True)
    own_tree.path("/usr/bin/systemctl").unlink(missing_ok=True)
    own_tree.path("/bin/systemctl").write_text(SYSTEMCTL)
    own_tree.path("/bin/systemctl").chmod(0o755)
    own_tree.install(higher)
    asked = own_tree.path("/systemctl.log").read_text().splitlines()
    assert "--quiet --system restart isthmus.service" in asked
    assert not [line for line in asked if " stop " in line or "isthmus.socket" in line]


def test_removed_it_leaves_its_state_and_purged_it_does_not(own_tree: Tree) -> None:
    """A disk is nobody's state: it stays."""
    port = free_port()
    with daemon(own_tree, port):
        serve_a_disk(own_tree)
    own_tree.run("apt-get", "remove", "-y", "isthmus")
    assert own_tree.path(f"{STATE}/saveconfig.json").exists()
    assert not own_tree.path("/usr/lib/isthmus").exists()
    assert not own_tree.path("/usr/bin/isthmus").exists()
    own_tree.run("apt-get", "purge", "-y", "isthmus")
    assert not own_tree.path(STATE).exists()
    assert not list(own_tree.path("/etc").rglob("*isthmus*"))
    assert not own_tree.path("/var/lib/systemd/deb-systemd-helper-enabled/isthmus.service.dsh-also").exists()
    assert own_tree.path(DISK).exists()


def test_purging_leaves_what_it_did_not_make(own_tree: Tree) -> None:
    """Somebody's disk in the state directory, for one, and says so."""
    disk = own_tree.path(f"{STATE}/precious.img")
    disk.write_bytes(b"data")
    said = own_tree.run("apt-get", "purge", "-y", "isthmus")
    assert f"{STATE} has files that are not of the package's making" in said
    assert disk.read_bytes() == b"data"


# --- the file ---------------------------------------------------------------------------------------------------------


@needs("lintian")
def test_lintian_finds_nothing(debian_package: Path) -> None:
    """But for what the overrides give a reason for."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(debian_package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_builds_it_again_gets_the_same(debian_package: Path, tmp_path: Path) -> None:
    """To the byte."""
    again = build_package(tmp_path)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(debian_package.read_bytes()).digest()
