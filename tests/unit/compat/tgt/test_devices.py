from pathlib import Path

from isthmus.compat.tgt.devices import device_parameters


def written(root: Path, **files: str) -> None:
    """Files in a stand-in for /sys; _ in a name is /."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))


def test_a_scsi_disk_says_who_it_is(tmp_path: Path) -> None:
    """What tgt-admin asks sg_inq and sg_readcap for; the serial number is in a page with a header."""
    written(
        tmp_path,
        class__block__sdz__device__vendor="ACME    \n",
        class__block__sdz__device__model="Rocket Disk\n",
        class__block__sdz__device__rev="2.1 \n",
        class__block__sdz__device__vpd_pg80="\0\x80\0\x08ZX81    ",
        class__block__sdz__queue__logical_block_size="512\n",
        class__block__sdz__queue__physical_block_size="4096\n",
        class__block__sdz__queue__optimal_io_size="1048576\n",
    )
    assert device_parameters("/dev/sdz", tmp_path) == {
        "vendor_id": "ACME",
        "product_id": "Rocket Disk",
        "product_rev": "2.1",
        "scsi_sn": "ZX81",
        "block-size": "512",
        "lbppbe": "3",
        "optimal_xfer_len": "2048",
    }


def test_nothing_is_known_of_what_is_no_disk(tmp_path: Path) -> None:
    """A file says nothing."""
    assert device_parameters("/srv/disk.img", tmp_path) == {}
