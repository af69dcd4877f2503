import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.compat.scst.devices import NULLIO_SIZE
from isthmus.compat.scst.identity import attributes_of, serial_of
from isthmus.config.model import Backstore, BackstoreKey
from tests.support.scst import FILE, imported


def device(attributes: str, handler: str = "vdisk_fileio") -> tuple[list[Backstore], list[str]]:
    """The backstores of a file with one device, and what is told."""
    found = imported(f"HANDLER {handler} {{\nDEVICE d {{\n{attributes}\n}}\n}}")
    return list(found.configuration.backstores.values()), [str(finding) for finding in found.findings]


@pytest.mark.parametrize(("handler", "kind"), [("vdisk_fileio", "fileio"), ("vdisk_blockio", "block")])
def test_a_file_or_device_is_a_backstore(handler: str, kind: str) -> None:
    """With what SCST does unless it is told otherwise: a medium that turns, a write cache, task sets."""
    stores, findings = device("filename /srv/d.img", handler)
    assert (stores, findings) == (
        [
            Backstore(
                key=BackstoreKey(kind, "d"),
                path="/srv/d.img",
                unit_serial=serial_of("d", 0),
                attributes={"is_nonrot": 0, "task_set_per_nexus": 1, **attributes_of(kind, "d", 0, {})},
            )
        ],
        [],
    )


def test_attributes_become_settings() -> None:
    """Those that there are words for here."""
    stores, findings = device(
        "filename /a\nblocksize 4096\nread_only 1\nwrite_through 1\nrotational 0\nthin_provisioned 1\n"
        "opt_trans_len 524288\nusn abc\nthreads_num 4\ntst 0\nscsi_device_name naa.600140512345678\n"
        'inq_vend_specific "of the house"\nlb_per_pb_exp 1'
    )
    assert findings == []
    assert stores[0] == Backstore(
        key=BackstoreKey("fileio", "d"),
        path="/a",
        write_back=False,
        read_only=True,
        unit_serial="abc",
        attributes={
            "block_size": 4096,
            "emulate_tpu": 1,
            "emulate_tpws": 1,
            "optimal_sectors": 128,
            "scsi_device_name": "naa.600140512345678",
            "inquiry_text": "of the house",
            **attributes_of("fileio", "d", 0, {}),
        },
    )


def test_a_null_disk_has_the_size_of_scst() -> None:
    """2.5 TiB, unless it says another in bytes or MiB."""
    sizes = [device(text, "vdisk_nullio")[0][0].size for text in ("", "size 1048576", "size_mb 2")]
    assert sizes == [NULLIO_SIZE, 1 << 20, 2 << 20]


def test_the_serial_number_is_the_one_that_scst_made_up() -> None:
    """It stands below the setup_id of the file, and in the other names."""
    found = imported("setup_id 0x1234\nHANDLER vdisk_nullio {\nDEVICE disk1\n}")
    (store,) = found.configuration.backstores.values()
    assert (store.unit_serial, store.attributes["t10_id"]) == ("1234b8fdbd32", "SCST_FIO1234b8fdbd32-disk1")


def test_names_that_the_file_gives_are_kept() -> None:
    """Those that fit the fields of SCSI; another one is told."""
    stores, findings = device(
        "filename /a\nt10_vend_id ACME\nprod_id Skates\nprod_rev_lvl 2.1\nvend_specific_id x\nremovable 1\n"
        "naa_id 0x6001405000000000000000000000abcd\neui64_id 001122334455667788990011\nt10_dev_id é"
    )
    assert stores[0].attributes == {
        "is_nonrot": 0,
        "task_set_per_nexus": 1,
        "removable": 1,
        "vendor_id": "ACME",
        "product_id": "Skates",
        "revision": "2.1",
        "t10_id": "ACME    x",
        "naa_id": "6001405000000000000000000000abcd",
    }
    assert [finding.partition(": ")[2] for finding in findings] == [
        "eui64_id 001122334455667788990011 of DEVICE d: an EUI-64 name has 8 bytes here; it is left out",
        (
            "t10_dev_id é of DEVICE d: t10_id of a backstore cannot be 'é': "
            "it has at most 252 printable ASCII characters; it is left out"
        ),
    ]


def test_a_name_that_no_field_of_scsi_holds_is_still_a_name() -> None:
    """What is left of it is told to initiators."""
    (store,) = imported("HANDLER vdisk_nullio {\nDEVICE disé\n}").configuration.backstores.values()
    assert (store.key.name, store.attributes.get("product_id")) == ("disé", None)
    assert str(store.attributes["t10_id"]).endswith("-dis")


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("nv_cache 1", "nv_cache 1 of DEVICE d: what initiators ask to be flushed is flushed all the same"),
        ("cluster_mode 1", "cluster_mode 1 of DEVICE d: other machines do not hear of its reservations"),
        ("lb_per_pb_exp 0", "lb_per_pb_exp 0 of DEVICE d: the physical blocks of the storage are told"),
        ("size 1048576", "size 1048576 of DEVICE d: the file or device has its own size"),
        ("inq_vend_specific é", "inq_vend_specific é of DEVICE d: inquiry_text of a backstore cannot be 'é'"),
        ("colour red", "colour of DEVICE d: there is no such setting here; it is left out"),
    ],
)
def test_what_cannot_be_honoured_is_told(attribute: str, told: str) -> None:
    """The disk is served all the same."""
    stores, findings = device(f"filename /a\n{attribute}")
    assert len(stores) == len(findings) == 1
    assert findings[0].startswith(f"{FILE}:4: {told}")


KNOWN = {
    "vdisk_fileio": (
        "active async bind_alua_state blocksize cluster_mode dif_filename dif_mode dif_static_app_tag dif_type expl_alua "
        "filename lb_per_pb_exp nv_cache numa_node_id o_direct opt_trans_len read_only removable resync_size rotational "
        "size size_mb sync thin_provisioned threads_num threads_pool_type tst type write_through"
    ),
    "vdisk_nullio": "blocksize cluster_mode dummy opt_trans_len read_only read_zero removable rotational size size_mb tst",
    "vdisk_blockio": (
        "eui64_id gen_tp_soft_threshold_reached_UA inq_vend_specific max_tgt_dev_commands naa_id pr_file_name prod_id "
        "prod_rev_lvl scsi_device_name t10_dev_id t10_vend_id usn vend_specific_id block"
    ),
}
"""The attributes of SCST's handlers, as its README has them."""


@pytest.mark.parametrize(("handler", "names"), KNOWN.items())
def test_every_attribute_of_scst_is_known(handler: str, names: str) -> None:
    """Each is honoured, or told for what it is; none is only left out."""
    for name in names.split():
        _, findings = device(f"filename /a\n{name} 1" if name != "filename" else "filename /a", handler)
        assert not any("no such setting" in finding for finding in findings), name


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ("blocksize 1024", "blocks have 512 or 4096 bytes here"),
        ("active 0", "a disk is always open here, and this one is not to be"),
        ("dummy 1", "a LUN without a disk needs no placeholder here"),
    ],
)
def test_what_would_be_another_disk_is_left_out(attribute: str, why: str) -> None:
    """Other blocks would be other data; a passive node must not open the storage."""
    stores, findings = device(f"filename /a\n{attribute}")
    assert (stores, findings) == ([], [f"{FILE}:4: {attribute} of DEVICE d: {why}; it is left out, with its LUNs"])


@pytest.mark.parametrize("text", ["filename /a.iso", "filename /a.iso\nblocksize 2048", ""])
def test_drives(text: str) -> None:
    """A CD is in the drive, or none."""
    stores, findings = device(text, "vcdrom")
    assert findings == []
    assert (stores[0].is_drive, stores[0].path, stores[0].key.kind) == (True, "/a.iso" if text else "", "fileio")
    assert stores[0].attribute("vendor_id") == "SCST_FIO"


def test_handlers_that_there_are_not_are_told() -> None:
    """Their devices are left out."""
    stores, findings = device("filename /a", "dev_disk_perf")
    told = "DEVICE d of the handler dev_disk_perf: there are no disks that do not read and write; it is left out, with its LUNs"
    assert (stores, findings) == ([], [f"{FILE}:2: {told}"])
    assert "there is no such handler here" in device("", "dev_user")[1][0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("HANDLER", ":1:1: HANDLER does not say which handler"),
        ("HANDLER vdisk_fileio {\nDEVICE d\n}", ":2:1: DEVICE d has no filename that is an absolute path"),
        ("HANDLER vdisk_fileio {\nDEVICE d {\nfilename a\n}\n}", ":2:1: DEVICE d has no filename"),
        ("HANDLER vdisk_nullio {\nDEVICE d\nDEVICE d\n}", ":3:8: the device 'd' is there twice"),
        (
            "HANDLER vdisk_nullio {\nDEVICE d {\nusn 1\n}\nDEVICE e {\nusn 1\n}\n}",
            ":5:8: DEVICE e has the usn of another",
        ),
        ("HANDLER vdisk_nullio {\nDEVICE d {\nusn é\n}\n}", ":2:8: 'é' cannot be a serial number"),
        ("HANDLER vdisk_nullio {\nDEVICE d {\nsize_mb 9999999999999\n}\n}", ":2:8: a disk cannot have that many"),
        ("HANDLER vdisk_nullio {\nDEVICE a/b\n}", ":2:8: 'a/b' cannot name a backstore"),
        ("HANDLER vdisk_nullio {\nDEVICE d {\nread_only yes\n}\n}", ":3:1: read_only yes of DEVICE d: it is neither"),
    ],
)
def test_nonsense_is_an_error_with_its_place(text: str, problem: str) -> None:
    """What SCST would refuse, too."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}{problem}"):
        imported(text)
