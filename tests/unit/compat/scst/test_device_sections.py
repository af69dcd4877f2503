import pytest

from isthmus.compat.scst.device_sections import DeviceNames, handler_sections
from isthmus.compat.scst.identity import attributes_of, serial_of
from isthmus.compat.scst.layout import layout
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey

NAMES = attributes_of("fileio", "d", 0, {})


MORE = [
    "tst 0",
    "scsi_device_name naa.6001405",
    'inq_vend_specific "of the house"',
    "rotational 0",
    "opt_trans_len 32768",
]


def written(*stores: Backstore) -> str:
    """The sections of these backstores."""
    return layout(handler_sections(stores, DeviceNames(stores)))


def test_what_is_as_scst_has_it_is_not_written() -> None:
    """Not even the serial number, if SCST would make up the same."""
    key = BackstoreKey("fileio", "d")
    store = Backstore(
        key=key, path="/a", unit_serial=serial_of("d", 0), attributes={"is_nonrot": 0, "task_set_per_nexus": 1, **NAMES}
    )
    assert written(store) == "\nHANDLER vdisk_fileio {\n\tDEVICE d {\n\t\tfilename /a\n\t}\n}\n"


def test_everything_else_is() -> None:
    """Of what SCST has words for."""
    store = Backstore(
        key=BackstoreKey("block", "d"),
        path="/dev/x",
        read_only=True,
        write_back=False,
        unit_serial="s",
        attributes={
            "block_size": 4096,
            "removable": 1,
            "emulate_tpu": 1,
            "emulate_tpws": 1,
            "optimal_sectors": 8,
            "scsi_device_name": "naa.6001405",
            "inquiry_text": "of the house",
            **attributes_of("block", "d", 0, {"prod_id": "Skates"}),
        },
        alua_groups=(AluaGroup(name="g", alua_group_id=1),),
    )
    lines = "filename /dev/x,usn s,prod_id Skates,blocksize 4096,read_only 1,write_through 1,removable 1,thin_provisioned 1,expl_alua 1"
    body = "".join(f"\t\t{line}\n" for line in [*lines.split(","), *MORE])
    assert written(store) == f"\nHANDLER vdisk_blockio {{\n\tDEVICE d {{\n{body}\t}}\n}}\n"


def test_names_are_unique_over_all_kinds() -> None:
    """With SCST a device has no kind in its name; one without a handler has no name."""
    stores = [
        Backstore(key=BackstoreKey(kind, "d"), unit_serial=kind, size=1 << 20) for kind in ("null", "fileio", "ramdisk")
    ]
    names = DeviceNames(stores)
    assert [names.of(store.key) for store in stores] == ["d_2", "d", None]
    assert "ramdisk" not in written(*stores)


@pytest.mark.parametrize("path", ["/srv/a.iso", ""])
def test_drives(path: str) -> None:
    """With what is in them."""
    attributes = {"device_type": "cd", "is_nonrot": 0, "task_set_per_nexus": 1, **NAMES}
    drive = Backstore(key=BackstoreKey("fileio", "d"), path=path, unit_serial=serial_of("d", 0), attributes=attributes)
    body = f"\tDEVICE d {{\n\t\tfilename {path}\n\t}}\n" if path else "\tDEVICE d\n"
    assert written(drive) == f"\nHANDLER vcdrom {{\n{body}}}\n"
