"""What kind of device a logical unit is (PERIPHERAL DEVICE TYPE, SPC-5 §6.7.2), and all that follows from it alone."""

from dataclasses import dataclass
from typing import Final

from isthmus.errors import ConfigurationError
from isthmus.scsi.command_table import DISK_COMMANDS, DRIVE_COMMANDS, CommandTable
from isthmus.scsi.mmc.disc import BLOCK_LENGTH
from isthmus.scsi.mmc.mode_pages import DRIVE_PAGES
from isthmus.scsi.spc.mode_pages import ModePage

__all__ = ["CD_DVD", "DISK", "DeviceType"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceType:
    """One kind."""

    code: int
    commands: CommandTable
    block_lengths: tuple[int, ...]
    """Bytes: what initiators can use."""
    product: str
    """PRODUCT IDENTIFICATION, where nobody says otherwise."""
    version_descriptor: int
    """The command standard, without a revision."""
    mode_pages: tuple[ModePage, ...] = ()
    """Those that it has beside the ones of SPC."""
    is_drive: bool = False
    """It has a tray, from which the medium is only read, and which may be empty."""

    def block_length(self, wanted: int | None) -> int:
        """What is `wanted`, or else what it has first; raises `ConfigurationError` for what no initiator can use."""
        if wanted is None:
            return self.block_lengths[0]
        if wanted not in self.block_lengths:
            possible = " or ".join(map(str, self.block_lengths))
            raise ConfigurationError(f"a block length of {wanted} bytes is not supported", f"use {possible}")
        return wanted


DISK: Final = DeviceType(
    code=0x00,
    commands=DISK_COMMANDS,
    block_lengths=(512, 4096),
    product="VIRTUAL-DISK",
    version_descriptor=0x04C0,  # SBC-3
)
CD_DVD: Final = DeviceType(
    code=0x05,
    commands=DRIVE_COMMANDS,
    block_lengths=(BLOCK_LENGTH,),
    product="VIRTUAL-CDROM",
    version_descriptor=0x04E0,  # MMC-6
    mode_pages=DRIVE_PAGES,
    is_drive=True,
)
