"""A logical unit seen through a session: commands as methods, errors as exceptions (SPC-5, SBC-4)."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import Buffer

from isthmus.initiator import cdb
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.inquiry import StandardInquiry, decode_standard_inquiry, vpd_page_of
from isthmus.initiator.parameter_data import (
    Capacity,
    LbaStatus,
    decode_capacity_10,
    decode_capacity_16,
    decode_lba_status,
    decode_report_luns,
    encode_unmap,
)
from isthmus.initiator.session import Session
from isthmus.initiator.task import Result
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.status import Status

__all__ = ["LogicalUnit", "raise_for_status"]

_MAX_UNIT_ATTENTIONS: Final = 32
"""How many in a row `become_ready` takes for granted: more than any target keeps for one nexus."""


def raise_for_status(command: str, result: Result) -> Result:
    """`result`, if its status is GOOD or CONDITION MET; else raises `ScsiError`."""
    if result.status not in (Status.GOOD, Status.CONDITION_MET):
        raise ScsiError(command, result.status, result.decoded_sense)
    return result


class LogicalUnit:
    """Methods raise `ScsiError` for a command that the unit fails, and never repeat one, but for `become_ready`."""

    def __init__(self, session: Session, lun: int) -> None:
        """`lun` is the number of the LUN, or the whole LUN field if it is no single-level one."""
        self.session = session
        self.lun = lun

    async def command(self, name: str, command: bytes, *, data_out: Buffer = b"", data_in_length: int = 0) -> Result:
        """Run any CDB; `name` is what an error calls it."""
        result = await self.session.execute(self.lun, command, data_out=data_out, data_in_length=data_in_length)
        return raise_for_status(name, result)

    async def test_unit_ready(self) -> None:
        """TEST UNIT READY."""
        await self.command("TEST UNIT READY", cdb.test_unit_ready())

    async def become_ready(self) -> None:
        """TEST UNIT READY until no unit attention is left: what every initiator does before it uses a unit."""
        for _ in range(_MAX_UNIT_ATTENTIONS):
            try:
                return await self.test_unit_ready()
            except ScsiError as error:
                if error.sense is None or error.sense.key != SenseKey.UNIT_ATTENTION:
                    raise
        return await self.test_unit_ready()

    async def inquiry(self) -> StandardInquiry:
        """The standard INQUIRY data."""
        result = await self.command("INQUIRY", cdb.inquiry(allocation_length=255), data_in_length=255)
        return decode_standard_inquiry(result.data_in)

    async def vpd_page(self, page: int, *, allocation_length: int = 4096) -> bytes:
        """The VPD page of that code, whole, header included."""
        result = await self.command(
            f"INQUIRY of VPD page {page:02X}h",
            cdb.inquiry(page=page, allocation_length=allocation_length),
            data_in_length=allocation_length,
        )
        return vpd_page_of(result.data_in, page)

    async def report_luns(self, *, select_report: int = 0) -> list[int]:
        """The LUN fields that the target lists, each 8 bytes as a big-endian integer."""
        command = cdb.report_luns(select_report=select_report)
        result = await self.command("REPORT LUNS", command, data_in_length=131_088)
        return decode_report_luns(result.data_in)

    async def read_capacity(self) -> Capacity:
        """READ CAPACITY (16), or (10) where the unit does not know that."""
        try:
            result = await self.command("READ CAPACITY (16)", cdb.read_capacity_16(), data_in_length=32)
        except ScsiError as error:
            if error.sense is None or error.sense.sense is not Sense.INVALID_COMMAND_OPERATION_CODE:
                raise
        else:
            return decode_capacity_16(result.data_in)
        result = await self.command("READ CAPACITY (10)", cdb.read_capacity_10(), data_in_length=8)
        return decode_capacity_10(result.data_in)

    async def read(self, *, lba: int, num_blocks: int, block_length: int, fua: bool = False) -> bytes:
        """READ (16); `block_length` is bytes."""
        command = cdb.read_16(lba=lba, num_blocks=num_blocks, fua=fua)
        result = await self.command("READ (16)", command, data_in_length=num_blocks * block_length)
        if result.residual.underflow or result.residual.overflow:
            raise ConnectionViolation(
                f"READ (16) of {num_blocks} blocks left {result.residual}: is the block length wrong?"
            )
        return result.data_in

    async def write(self, data: Buffer, *, lba: int, block_length: int, fua: bool = False) -> None:
        """WRITE (16) of `data`, whole blocks of `block_length` bytes."""
        num_blocks, rest = divmod(memoryview(data).nbytes, block_length)
        if rest:
            raise ValueError(f"{memoryview(data).nbytes} bytes are not whole blocks of {block_length}")
        result = await self.command("WRITE (16)", cdb.write_16(lba=lba, num_blocks=num_blocks, fua=fua), data_out=data)
        if result.residual.underflow or result.residual.overflow:
            raise ConnectionViolation(
                f"WRITE (16) of {num_blocks} blocks left {result.residual}: is the block length wrong?"
            )

    async def synchronize_cache(self, *, lba: int = 0, num_blocks: int = 0) -> None:
        """SYNCHRONIZE CACHE (10), or (16) where the LBA asks for it; no blocks: to the end of the medium."""
        fits = lba <= 0xFFFF_FFFF and num_blocks <= 0xFFFF
        build = cdb.synchronize_cache_10 if fits else cdb.synchronize_cache_16
        await self.command("SYNCHRONIZE CACHE", build(lba=lba, num_blocks=num_blocks))

    async def unmap(self, ranges: Sequence[tuple[int, int]]) -> None:
        """UNMAP of ranges of (LBA, number of blocks)."""
        data = encode_unmap(ranges)
        await self.command("UNMAP", cdb.unmap(parameter_list_length=len(data)), data_out=data)

    async def lba_status(self, *, lba: int = 0) -> list[LbaStatus]:
        """GET LBA STATUS from `lba` on, as far as one answer goes."""
        result = await self.command("GET LBA STATUS", cdb.get_lba_status(lba=lba), data_in_length=4096)
        return decode_lba_status(result.data_in)
