"""The mode pages that a drive for discs has beside those of SPC (MMC-6 §7)."""

from typing import TYPE_CHECKING, Final

from isthmus.scsi.spc.mode_pages import ModeField, ModePage, PageKey

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["DRIVE_PAGES", "with_lock_state", "without_lock_state"]

_CAPABILITIES: Final = (0x2A, 0)
_STATE_BYTE: Final = 6
_LOCK_STATE: Final = 0x02

_SPEED: Final = 48 * 176
"""KB/s: a CD at 48 times the speed of audio. Initiators print it, and do not act on it."""
_BUFFER: Final = 2048
"""KB."""

DRIVE_PAGES: Final = (
    # Nothing in a drive takes so long that initiators would have to be told how long.
    ModePage(code=0x1D, name="Timeout and Protect", length=12, source="MMC-6 §7"),
    ModePage(
        code=0x2A,
        name="CD/DVD Capabilities and Mechanical Status",
        length=32,
        source="MMC-3 §6.3.11",
        fields=(
            ModeField(name="DVD-ROM READ", byte=2, bit=3, default=1),
            ModeField(name="CD-RW READ", byte=2, bit=1, default=1),
            ModeField(name="CD-R READ", byte=2, bit=0, default=1),
            ModeField(name="LOADING MECHANISM TYPE", byte=6, bit=5, width=3, default=1),
            ModeField(name="EJECT", byte=6, bit=3, default=1),
            ModeField(name="LOCK", byte=6, bit=0, default=1),
            ModeField(name="MAXIMUM READ SPEED SUPPORTED", byte=8, width=16, default=_SPEED),
            ModeField(name="BUFFER SIZE SUPPORTED", byte=12, width=16, default=_BUFFER),
            ModeField(name="CURRENT READ SPEED SELECTED", byte=14, width=16, default=_SPEED),
        ),
    ),
)
"""In the order of their codes."""


def with_lock_state(unit: "LogicalUnit", key: PageKey, page: bytes) -> bytes:
    """A page of current values, with LOCK STATE: whether an initiator has locked the medium in."""
    return _with_state(page, _LOCK_STATE) if key == _CAPABILITIES and unit.prevent_removal else page


def without_lock_state(key: PageKey, page: bytes) -> bytes:
    """A page that an initiator sends: the state that it has read is nothing that it wants to change."""
    return _with_state(page, 0) if key == _CAPABILITIES else page


def _with_state(page: bytes, state: int) -> bytes:
    return page[:_STATE_BYTE] + bytes((page[_STATE_BYTE] & ~_LOCK_STATE | state,)) + page[_STATE_BYTE + 1 :]
