import pytest

from isthmus.compat.tgt.errors import Status
from tests.support.tgt_machine import IQN, TgtBench

NEW = "--op new --mode lu --tid 1 --lun"


@pytest.fixture
async def bench() -> TgtBench:
    """With a target and a disk."""
    bench = TgtBench(kinds={"/dev/sdz": "block", "/srv/absent": "absent", "/dev/null": "character"})
    await bench.set_up()
    return bench


async def test_a_file_becomes_a_disk(bench: TgtBench) -> None:
    """With a write cache, and the names that tgt gives; its designator is ours."""
    store = bench.store()
    assert (str(store.key), store.path, store.write_back) == ("/backstores/fileio/one.img", "/srv/one.img", True)
    assert store.attributes["product_serial"] == "beaf11"
    assert store.attributes["t10_id"] == "IET     00010001"
    assert store.unit_serial == "serial-of-one.img"
    assert store.options == {"tgt_bstype": "rdwr"}


@pytest.mark.parametrize(
    ("options", "kind", "path"),
    [
        ("-b /dev/sdz", "block", "/dev/sdz"),
        ("-b /srv/two.img -E aio -y 4096", "fileio", "/srv/two.img"),
        ("-b /nowhere -E null", "ramdisk", ""),
        ("-b /dev/null -E sg -Y pt", "pscsi", "/dev/null"),
        ("", "ramdisk", ""),
    ],
)
async def test_kinds_of_disks(bench: TgtBench, options: str, kind: str, path: str) -> None:
    """By what the path is, and by the type of the backing store."""
    await bench.tgtadm(f"{NEW} 2 {options}")
    assert (bench.store(2).key.kind, bench.store(2).path) == (kind, path)
    bench.machine.configuration.check()


@pytest.mark.parametrize(
    "options",
    [
        "-b /srv/absent",
        "-b /dev/null",
        "-b /srv/two.img -E rbd",
        "-b /srv/two.img -E sg",
        "-b /srv/two.img -Y pt",
        "-b /srv/two.img -Y tape",
        "-b /srv/two.img -E mmc",
        "-b /srv/two.img -f nonsense",
        "-b /srv/two.img -E aio -f sync",
        "-b /srv/two.img -y 1024",
    ],
)
async def test_what_is_no_disk(bench: TgtBench, options: str) -> None:
    """Nothing is made."""
    before = bench.machine.configuration
    assert await bench.status(f"{NEW} 2 {options}") == Status.INVALID_REQUEST
    assert bench.machine.configuration is before


async def test_numbers(bench: TgtBench) -> None:
    """0 is the controller's; each other one is there once, and not larger than SAM allows."""
    for number, status in (("0", "LOGICAL_UNIT_EXISTS"), ("1", "LOGICAL_UNIT_EXISTS"), ("99999", "INVALID_REQUEST")):
        assert await bench.status(f"{NEW} {number} -b /srv/two.img") == Status[status]


async def test_a_file_is_one_disk_wherever_it_is(bench: TgtBench) -> None:
    """It goes with its last LUN."""
    await bench.tgtadm("--op new --mode target --tid 2 -T iqn.2026-01.org.example:two")
    await bench.tgtadm("--op new --mode lu --tid 2 --lun 1 -b /srv/one.img")
    assert len(bench.machine.configuration.backstores) == 1
    await bench.tgtadm("--op delete --mode target --tid 2")
    assert len(bench.machine.configuration.backstores) == 1
    await bench.tgtadm("--op delete --mode lu --tid 1 --lun 1")
    assert bench.machine.configuration.backstores == {}


async def test_names_of_disks_are_free(bench: TgtBench) -> None:
    """Two files of one name, and one whose name cannot be a disk's; a path may have a comma."""
    await bench.tgtadm(f"{NEW} 2 -b /other/one.img")
    await bench.tgtadm(f"{NEW} 3 -b '/srv/my disk,1.img' -f sync")
    assert [bench.store(lun).key.name for lun in (1, 2, 3)] == ["one.img", "one.img-tgt-1-2", "my_disk,1.img"]
    assert (bench.store(3).path, bench.store(3).write_back) == ("/srv/my disk,1.img", False)


async def test_it_is_not_taken_from_somebody(bench: TgtBench) -> None:
    """Who uses it."""
    bench.machine.is_busy = True
    assert await bench.status("--op delete --mode lu --tid 1 --lun 1") == Status.LOGICAL_UNIT_ACTIVE


async def test_another_medium(bench: TgtBench) -> None:
    """Once the one before is out; the disk stays the disk that it was."""
    update = "--op update --mode lu --tid 1 --lun 1 -P"
    assert await bench.status(f"{update} path=/srv/two.img") == Status.INVALID_REQUEST
    await bench.tgtadm(f"{update} removable=1,online=0,vendor_id=ACME")
    serial = bench.store().unit_serial
    await bench.tgtadm(f"{update} path=/dev/sdz")
    assert (bench.store().path, bench.store().key.kind, bench.store().unit_serial) == ("/dev/sdz", "block", serial)
    assert (bench.store().attribute("medium_present"), bench.store().attribute("vendor_id")) == (1, "ACME")
    assert len(bench.machine.configuration.backstores) == 1
    await bench.tgtadm(f"{update} online=0")
    assert await bench.status(f"{update} path=/dev/sdz") == Status.INVALID_REQUEST
    await bench.tgtadm("--op new --mode target --tid 2 -T iqn.2026-01.org.example:two")
    await bench.tgtadm("--op new --mode lu --tid 2 --lun 1 -b /dev/sdz")
    assert await bench.status(f"{update} path=/srv/three.img") == Status.INVALID_REQUEST


async def test_drives(bench: TgtBench) -> None:
    """With a disc in them, the same in two, or none."""
    for options in ("2 -b /srv/a.iso -Y cd", "3 -b /srv/a.iso -Y cd -y 2048", "4 -Y cd"):
        await bench.tgtadm(f"{NEW} {options}")
    drives = [bench.store(lun) for lun in (2, 3, 4)]
    assert [(drive.is_drive, drive.path) for drive in drives] == [
        (True, "/srv/a.iso"),
        (True, "/srv/a.iso"),
        (True, ""),
    ]
    assert len({drive.key for drive in drives}) == 3
    assert drives[0].attribute("product_id") == "VIRTUAL-CDROM"
    shown = await bench.tgtadm("--op show --mode target")
    assert shown.count("Type: cd/dvd") == shown.count("Removable media: Yes") == 3
    bench.machine.configuration.check()


async def test_another_disc(bench: TgtBench) -> None:
    """It is the same drive, and has to be offline unless it is empty; what a disk has is not in a drive."""
    update = "--op update --mode lu --tid 1 --lun 2 -P"
    await bench.tgtadm(f"{NEW} 2 -Y cd")
    key = bench.store(2).key
    await bench.tgtadm(f"{update} path=/srv/a.iso")
    assert (bench.store(2).key, bench.store(2).path) == (key, "/srv/a.iso")
    assert await bench.status(f"{update} path=/srv/b.iso") == Status.INVALID_REQUEST
    await bench.tgtadm(f"{update} online=0")
    await bench.tgtadm(f"{update} path=/srv/b.iso")
    assert (bench.store(2).path, bench.store(2).attribute("medium_present")) == ("/srv/b.iso", 1)
    assert await bench.status(f"{update} online=0,path=/srv/one.img") == Status.INVALID_REQUEST
    assert await bench.status(f"{NEW} 3 -b /srv/b.iso") == Status.INVALID_REQUEST
    assert await bench.status(f"{NEW} 3 -b /srv/one.img -Y cd") == Status.INVALID_REQUEST


async def test_parameters_are_set_all_or_none(bench: TgtBench) -> None:
    """One that there is not spoils the others."""
    before = bench.machine.configuration
    update = "--op update --mode lu --tid 1 --lun"
    assert await bench.status(f"{update} 1 -P vendor_id=ACME,nonsense=1") == Status.INVALID_REQUEST
    assert await bench.status(f"{update} 1 -P vendor_id=Ä") == Status.INVALID_REQUEST
    assert await bench.status(f"{update} 0 -P vendor_id=ACME") == Status.INVALID_REQUEST
    assert await bench.status(f"{update} 9 -P vendor_id=ACME") == Status.NO_LOGICAL_UNIT
    assert bench.machine.configuration is before
    assert bench.target.name == IQN
