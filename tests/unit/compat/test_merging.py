import dataclasses

from isthmus.compat.merging import merge
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
from isthmus.names import IscsiName

DB, WEB = IscsiName("iqn.2026-01.org.example:db"), IscsiName("iqn.2026-01.org.example:web")


def disk(name: str, path: str, serial: str = "", size: int | None = None) -> Backstore:
    """A file as a disk."""
    return Backstore(
        key=BackstoreKey("fileio", name), path=path, unit_serial=serial or f"serial-{name}-{path}", size=size
    )


def configuration(name: IscsiName, *disks: Backstore) -> Configuration:
    """A target with these disks."""
    luns = tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(disks))
    return Configuration(
        backstores={store.key: store for store in disks},
        targets={name: Target(name=name, portal_groups=(PortalGroup(tag=1, luns=luns),))},
    )


def test_what_is_not_in_the_file_stays() -> None:
    """An import adds."""
    running, imported = configuration(DB, disk("a", "/a")), configuration(WEB, disk("b", "/b"))
    merged = merge(running, imported)
    assert merged.targets == {**running.targets, **imported.targets}
    assert merged.backstores == {**running.backstores, **imported.backstores}
    merged.check()


def test_a_target_of_the_same_name_is_replaced() -> None:
    """The file says what it is."""
    merged = merge(configuration(DB, disk("a", "/a")), configuration(DB, disk("b", "/b")))
    assert merged.targets == configuration(DB, disk("b", "/b")).targets


def test_a_disk_on_the_same_storage_stays_the_disk_that_it_is() -> None:
    """Initiators know it by its serial number; it may have had another name, and a size that the file does not tell."""
    running = configuration(DB, disk("old", "/a", "known", 4096))
    merged = merge(running, configuration(WEB, disk("new", "/a")))
    assert merged.backstores == running.backstores
    (group,) = merged.targets[WEB].portal_groups
    assert group.luns[0].backstore == BackstoreKey("fileio", "old")
    merged.check()


def test_another_disk_of_the_same_name_gets_a_free_name() -> None:
    """Neither the disk that runs nor another one of the file loses its storage."""
    running = configuration(DB, disk("a", "/a"))
    merged = merge(running, configuration(WEB, disk("a", "/other"), disk("a_2", "/second")))
    paths = {key.name: store.path for key, store in merged.backstores.items()}
    assert paths == {"a": "/a", "a_3": "/other", "a_2": "/second"}
    merged.check()


def test_discovery_stays_unless_the_file_speaks_of_it() -> None:
    """A file that names no account for discovery does not open it."""
    secured = DiscoveryAuthentication(enable=True, chap=Chap(userid="alice", password="correct horse"))
    running = Configuration(discovery=secured)
    assert merge(running, Configuration()).discovery == secured
    assert merge(Configuration(), running).discovery == secured


def test_the_designators_of_a_disk_that_runs_stay() -> None:
    """Unless the file has others."""
    known = dataclasses.replace(disk("a", "/a"), attributes={"naa_id": "5" * 16, "vendor_id": "ACME"})
    running = configuration(DB, known)
    merged = merge(running, configuration(WEB, disk("a", "/a"))).backstores[known.key]
    assert merged.attributes == {"naa_id": "5" * 16}
    other = dataclasses.replace(disk("a", "/a"), attributes={"naa_id": "6" * 16})
    assert merge(running, configuration(WEB, other)).backstores[known.key].attributes == {"naa_id": "6" * 16}


def test_accounts_and_options_of_both_are_there() -> None:
    """What the file says of one counts."""
    running = Configuration(accounts=(Account("a", "1"), Account("b", "2")), options={"x": 1, "y": 2})
    imported = Configuration(accounts=(Account("b", "3"), Account("c", "4")), options={"y": 3})
    merged = merge(running, imported)
    assert merged.accounts == (Account("a", "1"), Account("b", "3"), Account("c", "4"))
    assert merged.options == {"x": 1, "y": 3}
