"""What the kernel says of real disks, so that another disk can look like one of them (tgt's `direct-store`)."""

from pathlib import Path
from typing import Final

__all__ = ["device_parameters"]

_SYSFS: Final = Path("/sys")
_SERIAL_HEADER: Final = 4


def device_parameters(path: str, sysfs: Path = _SYSFS) -> dict[str, str]:
    """What tgt-admin asks a disk for, by tgt's names; what the kernel does not know is not there."""
    name = Path(path).resolve().name if Path(path).exists() else Path(path).name
    block = sysfs / "class/block" / name
    device = block / "device"
    found = {
        "vendor_id": _line(device / "vendor"),
        "product_id": _line(device / "model"),
        "product_rev": _line(device / "rev") or _line(device / "firmware_rev"),
        "scsi_sn": _serial(device / "vpd_pg80") or _line(device / "serial"),
        "block-size": _line(block / "queue/logical_block_size"),
        **_alignment(block),
    }
    return {key: value for key, value in found.items() if value}


def _alignment(block: Path) -> dict[str, str]:
    logical, physical, optimal = (
        int(_line(block / "queue" / name) or 0)
        for name in ("logical_block_size", "physical_block_size", "optimal_io_size")
    )
    if not logical or physical < logical:
        return {}
    found = {"lbppbe": str((physical // logical).bit_length() - 1)}
    if optimal:
        found["optimal_xfer_len"] = str(optimal // logical)
    return found


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _serial(path: Path) -> str:
    """Page 80h, as the disk gave it (SPC-5 §7.7.19)."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    return data[_SERIAL_HEADER:].decode("ascii", "replace").strip("\0 ")
