import dataclasses
from pathlib import Path

import pytest
from configshell_fb import ExecutionError

from isthmus.cli.shell.editing import Editor
from isthmus.cli.shell.saved_files import Part, is_same, read, running_with_secrets, with_backstore_of, write
from isthmus.config.document import Remark, dump
from isthmus.config.model import (
    Account,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    Lun,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from tests.support.fake_daemon import VERSION, FakeDaemon

ONE, TWO = IscsiName("iqn.2026-05.com.example:one"), IscsiName("iqn.2026-05.com.example:two")
SECRET = Chap(userid="u", password="geheimgeheim1")


def disk(name: str, kind: str = "ramdisk") -> Backstore:
    """A disk; as a file, it stands nowhere."""
    return Backstore(key=BackstoreKey(kind, name), size=1 << 20, write_back=False, unit_serial=f"{kind} {name}")


def target(name: IscsiName, *disks: Backstore, chap: Chap = SECRET) -> Target:
    """A target with these disks as LUNs."""
    luns = tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(disks))
    return Target(name=name, portal_groups=(PortalGroup(tag=1, luns=luns, chap=chap),))


def of(*things: Backstore | Target, **fields: object) -> Configuration:
    """A configuration of these."""
    stores = {thing.key: thing for thing in things if isinstance(thing, Backstore)}
    targets = {thing.name: thing for thing in things if isinstance(thing, Target)}
    return dataclasses.replace(Configuration(backstores=stores, targets=targets), **fields)  # type: ignore[arg-type]


A, B = disk("a"), disk("b")


def test_secrets_come_from_the_daemons_own_file(tmp_path: Path) -> None:
    """As far as there are any: else that file need not be there."""
    running = of(A, target(ONE, A))
    daemon = FakeDaemon(running, whoami=dataclasses.replace(VERSION, state_directory=str(tmp_path)))
    with pytest.raises(ExecutionError, match="which cannot be read: No such file"):
        running_with_secrets(Editor(daemon))
    (tmp_path / "saveconfig.json").write_text(dump(running))
    assert running_with_secrets(Editor(daemon)) == running
    daemon.running = of(A)
    (tmp_path / "saveconfig.json").unlink()
    assert running_with_secrets(Editor(daemon)) == of(A)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """By one that is its owner's alone; a link to another file is not followed, and what is no file stays."""
    other, file = tmp_path / "other", tmp_path / "saved.json"
    other.write_text("precious")
    file.symlink_to(other)
    write(file, of(A))
    assert (read(file), file.stat().st_mode & 0o777, other.read_text()) == ((of(A), []), 0o600, "precious")
    for place in (tmp_path, Path("/dev/null"), tmp_path / "nowhere" / "saved.json"):
        with pytest.raises(ExecutionError):
            write(place, of(A))
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """In one line each."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path, complaint in ((tmp_path / "binary", "is not text"), (tmp_path, "directory"), (tmp_path / "x", "No such")):
        with pytest.raises(ExecutionError, match=complaint):
            read(path)


def test_the_daemons_file_by_any_name(tmp_path: Path) -> None:
    """It is never written over by the shell, which may be another user's."""
    own, link = tmp_path / "saveconfig.json", tmp_path / "link"
    assert is_same(own, own)
    own.touch()
    link.symlink_to(own)
    assert is_same(link, own)
    assert not is_same(tmp_path / "other", own)


def test_all_of_it_beside_what_there_is() -> None:
    """What is neither backstore nor target comes as far as nothing is there."""
    discovery = DiscoveryAuthentication(enable=True, chap=SECRET)
    saved = of(
        A,
        target(ONE, A),
        discovery=discovery,
        accounts=(Account("x", "saved"), Account("y", "saved")),
        options={"k": 1, "l": 1},
    )
    present = of(B, accounts=(Account("x", "present"),), options={"k": 2})
    restored = Part.named(saved, None, None).restored(present, replaces=False)
    assert set(restored.backstores) == {A.key, B.key}
    assert restored.discovery == discovery
    assert [account.password for account in restored.accounts] == ["present", "saved"]
    assert restored.options == {"k": 2, "l": 1}
    assert Part.named(saved, None, None).restored(present, replaces=True) == saved
    assert Part.named(saved, None, None).restored(Configuration(), replaces=False) == saved


def test_what_is_there_already_is_refused() -> None:
    """Unless it is to be replaced; what the part is not about does not matter."""
    saved, present = of(A, B, target(ONE, A)), of(A)
    for part in (Part.named(saved, None, None), Part.named(saved, None, "a")):
        with pytest.raises(ConfigurationError, match="there already"):
            part.restored(present, replaces=False)
    assert set(Part.named(saved, ONE, None).restored(present, replaces=False).targets) == {ONE}
    other = dataclasses.replace(A, size=2 << 20)
    restored = Part.named(of(other), None, "a").restored(of(A, target(ONE, A)), replaces=True)
    assert restored == of(other, target(ONE, A))


def test_a_name_of_two_storage_objects() -> None:
    """Their paths tell them apart."""
    saved = of(A, disk("a", "fileio"))
    with pytest.raises(ConfigurationError, match="2 storage objects"):
        Part.named(saved, None, "a")
    assert list(Part.named(saved, None, "/backstores/ramdisk/a").backstores) == [A.key]
    user = disk("u", "user")
    assert list(Part.named(of(user), None, "/backstores/user:file/u").backstores) == [user.key]
    with pytest.raises(ConfigurationError, match="not the path of a backstore"):
        Part.named(saved, None, "/a")


def test_remarks_are_told_on_what_is_restored() -> None:
    """A name that only begins the same is another's."""
    part = Part.named(of(A, target(ONE, A)), ONE, "a")
    for where, concerns in ((f"/iscsi/{ONE}/tpg1", True), (str(A.key), True), (f"{A.key}2", False), ("/", False)):
        assert part.concerns(Remark(where, "something")) is concerns
    assert Part.named(of(A), None, None).concerns(Remark("/", "something"))


def test_one_backstore_in_a_file_of_others(tmp_path: Path) -> None:
    """Its targets come along, with all that these need; what else is there stays, what else runs stays out."""
    file = tmp_path / "saved.json"
    running = of(A, B, disk("c"), target(ONE, A, B), target(TWO, disk("c")))
    assert with_backstore_of(running, A.key, file) == of(A, B, target(ONE, A, B))
    write(file, of(dataclasses.replace(A, size=5 << 20), disk("d"), target(TWO, disk("d"))))
    found = with_backstore_of(running, A.key, file)
    assert found == of(A, B, disk("d"), target(ONE, A, B), target(TWO, disk("d")))
    found.check()
