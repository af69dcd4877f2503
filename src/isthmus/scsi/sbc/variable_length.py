"""The rows of the 32-byte CDBs: operation code 7Fh, told apart by a service action of two bytes (SPC-5 §4.2.3).

SBC-4 ties those of READ, WRITE, VERIFY and WRITE SAME to type 2 protection, whose tags they carry. No unit has that, so
the tags are passed over, and what is left is the 16-byte command in another form; whoever sends one means just that. A
CDB that asks for protection (RDPROTECT and its kin) is refused, as in every other length.
"""

from functools import partial
from typing import Final

from isthmus.scsi.opcodes import VARIABLE_LENGTH, CommandDescriptor, Handler, Parser, ReservationClass
from isthmus.scsi.sbc.block_range import THIRTY_TWO
from isthmus.scsi.sbc.read_write import parse_read, parse_write, read, write
from isthmus.scsi.sbc.verify import parse_verify, parse_write_and_verify, verify, write_and_verify
from isthmus.scsi.sbc.write_atomic import BOUNDARY_BYTE_32, parse_write_atomic, write_atomic
from isthmus.scsi.sbc.write_same import parse_write_same, write_same

__all__ = ["VARIABLE_LENGTH_ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_GROUP_NUMBER: Final = 0x3F
_DPO: Final = 0x10
_FUA: Final = 0x08
_BYTCHK: Final = 0x06
_ANCHOR_UNMAP_NDOB: Final = 0x19
_LENGTH: Final = 32


def _usage(service_action: int, flags: int, *, atomic_boundary: bool) -> bytes:
    """The usage mask, with ADDITIONAL CDB LENGTH and the service action themselves; the tags are passed over."""
    boundary = b"\xff\xff" if atomic_boundary else bytes(2)
    head = bytes((VARIABLE_LENGTH, _CONTROL, 0, 0)) + boundary + bytes((_GROUP_NUMBER, _LENGTH - 8))
    return (head + service_action.to_bytes(2) + bytes((flags, 0))).ljust(_LENGTH, b"\xff")


def _row(
    name: str, service_action: int, flags: int, parse: Parser, handler: Handler, source: str, *, atomic: bool = False
) -> CommandDescriptor:
    writes = name.startswith("WRITE")
    return CommandDescriptor(
        name=name,
        service_action=service_action,
        usage=_usage(service_action, flags, atomic_boundary=atomic),
        parse=parse,
        handler=handler,
        reservation=ReservationClass.WRITE if writes else ReservationClass.READ,
        needs_atomic_writes=atomic,
        writes_medium=writes,
        source=source,
    )


VARIABLE_LENGTH_ROWS: Final = (
    _row("READ (32)", 0x0009, _DPO | _FUA, partial(parse_read, THIRTY_TWO), read, "SBC-4 §5.19"),
    _row("VERIFY (32)", 0x000A, _DPO | _BYTCHK, partial(parse_verify, THIRTY_TWO), verify, "SBC-4 §5.39"),
    _row("WRITE (32)", 0x000B, _DPO | _FUA, partial(parse_write, THIRTY_TWO), write, "SBC-4 §5.43"),
    _row(
        "WRITE AND VERIFY (32)",
        0x000C,
        _DPO | _BYTCHK,
        partial(parse_write_and_verify, THIRTY_TWO),
        write_and_verify,
        "SBC-4 §5.47",
    ),
    _row(
        "WRITE SAME (32)", 0x000D, _ANCHOR_UNMAP_NDOB, partial(parse_write_same, THIRTY_TWO), write_same, "SBC-4 §5.54"
    ),
    _row(
        "WRITE ATOMIC (32)",
        0x000F,
        _DPO | _FUA,
        partial(parse_write_atomic, THIRTY_TWO, BOUNDARY_BYTE_32),
        write_atomic,
        "SBC-4 §5.49",
        atomic=True,
    ),
)
"""Every 32-byte command."""
