"""What the attributes do that say what a disk is called and looks like: one test for each, named after it."""

import struct
from pathlib import Path
from typing import Any

from isthmus.config.model import Backstore, BackstoreKey
from isthmus.initiator import cdb
from isthmus.scsi.sense import Sense
from tests.support.effects import BLOCK, Bench, bench, mode_page

INQUIRY = Sense.INQUIRY_DATA_HAS_CHANGED
MODE = Sense.MODE_PARAMETERS_CHANGED


async def standard(tested: Bench) -> bytes:
    """The standard INQUIRY data."""
    return bytes((await tested.unit.command("INQUIRY", cdb.inquiry(), data_in_length=96)).data_in)


async def changes(tested: Bench, name: str, value: Any) -> None:
    """Change a name, of which the initiator hears."""
    await tested.unit.become_ready()
    await tested.set(**{name: value})
    assert await tested.attentions() == [INQUIRY]


async def test_vendor_id() -> None:
    """T10 VENDOR IDENTIFICATION."""
    async with bench() as tested:
        await changes(tested, "vendor_id", "ACME")
        assert (await standard(tested))[8:16] == b"ACME    "


async def test_product_id() -> None:
    """PRODUCT IDENTIFICATION, whatever the backstore is called."""
    async with bench() as tested:
        await changes(tested, "product_id", "A Disk")
        assert (await standard(tested))[16:32] == b"A Disk".ljust(16)


async def test_revision() -> None:
    """PRODUCT REVISION LEVEL."""
    async with bench() as tested:
        await changes(tested, "revision", "9.9")
        assert (await standard(tested))[32:36] == b"9.9 "


async def test_product_serial() -> None:
    """The Unit Serial Number page."""
    async with bench() as tested:
        await changes(tested, "product_serial", "S-1")
        assert (await tested.unit.vpd_page(0x80))[4:] == b"S-1"


async def designates(name: str, value: str, designator: bytes) -> None:
    """A designator that is in the Device Identification page with the attribute, and not without."""
    async with bench() as tested:
        assert designator not in await tested.unit.vpd_page(0x83)
        await changes(tested, name, value)
        assert designator in await tested.unit.vpd_page(0x83)


async def test_t10_id() -> None:
    """The T10 vendor ID based designator."""
    await designates("t10_id", "ACME    disk 7", b"\x02\x01\x00\x0eACME    disk 7")


async def test_naa_id() -> None:
    """The NAA designator."""
    await designates("naa_id", "60014051234567890123456789012345", bytes.fromhex("60014051234567890123456789012345"))


async def test_eui64_id() -> None:
    """The EUI-64 designator."""
    await designates("eui64_id", "0011223344556677", bytes.fromhex("01020008" + "0011223344556677"))


async def test_report_naa_id() -> None:
    """Off, the page is without the NAA designator, and has the other names."""
    async with bench() as tested:
        naa = tested.device.identity.naa_designator
        assert naa in await tested.unit.vpd_page(0x83)
        await changes(tested, "report_naa_id", 0)
        assert naa not in await tested.unit.vpd_page(0x83)


async def test_removable() -> None:
    """RMB."""
    async with bench() as tested:
        assert not (await standard(tested))[1] & 0x80
        await changes(tested, "removable", 1)
        assert (await standard(tested))[1] & 0x80


async def test_medium_present() -> None:
    """Without a medium, nothing gets at it; with one, everything does."""
    async with bench() as tested:
        await tested.set(removable=1, medium_present=0)
        await tested.attentions()
        assert await tested.sense(cdb.test_unit_ready()) is Sense.MEDIUM_NOT_PRESENT
        await tested.set(medium_present=1)
        await tested.attentions()
        assert await tested.sense(cdb.test_unit_ready()) is None


async def test_write_protect() -> None:
    """Nobody writes, and MODE SENSE says so (WP)."""
    async with bench() as tested:
        write = cdb.write_16(lba=0, num_blocks=1)
        assert await tested.sense(write, data_out=bytes(BLOCK)) is None
        await tested.changes("write_protect", 1, MODE)
        assert await tested.sense(write, data_out=bytes(BLOCK)) is Sense.WRITE_PROTECTED
        assert (await mode_page(tested.unit, 0x3F))[0] & 0x80


async def test_descriptor_sense() -> None:
    """Sense goes out in descriptor format (D_SENSE)."""
    async with bench() as tested:
        await tested.changes("descriptor_sense", 1, MODE)
        result = await tested.session.execute(0, cdb.read_16(lba=1 << 40, num_blocks=1), data_in_length=BLOCK)
        assert result.sense[0] & 0x7F == 0x72


async def test_task_set_per_nexus() -> None:
    """TST of the Control mode page: a task that must wait for others waits for those of its own initiator."""
    async with bench() as tested:
        await tested.changes("task_set_per_nexus", 1, MODE)
        assert (await mode_page(tested.unit, 0x0A))[1][2] >> 5 == 1
        await tested.changes("task_set_per_nexus", 0, MODE)
        assert (await mode_page(tested.unit, 0x0A))[1][2] >> 5 == 0


async def test_scsi_device_name() -> None:
    """The SCSI name string of the target device (SPC-5 §7.7.6.11)."""
    async with bench() as tested:
        for name in ("naa.60014051234567890123456789012345", "x" * 251):
            await changes(tested, "scsi_device_name", name)
            command = bytes([0x12, 1, 0x83, 2, 0, 0])
            page = bytes((await tested.unit.command("INQUIRY", command, data_in_length=512)).data_in)
            designators, place = {}, 4
            while place < len(page):
                designators[page[place + 1] & 0x3F] = page[place + 4 : place + 4 + page[place + 3]]
                place += 4 + page[place + 3]
            assert designators[0x28].rstrip(b"\0") == name.encode()


async def test_inquiry_text() -> None:
    """At byte 36; more than 20 characters at byte 96, where the standards end."""
    async with bench() as tested:
        for text, place, length in (("of the house", 36, 96), ("twenty-one characters", 96, 117), ("y" * 160, 96, 256)):
            await changes(tested, "inquiry_text", text)
            command = bytes([0x12, 0, 0, 1, 0, 0])
            data = bytes((await tested.unit.command("INQUIRY", command, data_in_length=256)).data_in)
            assert (len(data), data[4]) == (length, length - 5)
            assert data[place : place + len(text)] == text.encode()
            assert data[58:60] == b"\0\xa0"


async def capacity(tested: Bench) -> tuple[int, int]:
    """The exponent of blocks in a physical block, and the lowest aligned LBA (READ CAPACITY (16))."""
    result = await tested.unit.command("READ CAPACITY (16)", cdb.read_capacity_16(), data_in_length=32)
    exponent, lowest = struct.unpack_from(">BH", result.data_in, 13)
    return exponent & 0x0F, lowest & 0x3FFF


async def test_physical_block_exponent() -> None:
    """LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT."""
    async with bench() as tested:
        await changes(tested, "physical_block_exponent", 4)
        assert (await capacity(tested))[0] == 4


async def test_lowest_aligned_lba() -> None:
    """LOWEST ALIGNED LOGICAL BLOCK ADDRESS."""
    async with bench() as tested:
        await changes(tested, "lowest_aligned_lba", 7)
        assert (await capacity(tested))[1] == 7


async def test_optimal_granularity() -> None:
    """OPTIMAL TRANSFER LENGTH GRANULARITY."""
    async with bench() as tested:
        await changes(tested, "optimal_granularity", 16)
        assert (await tested.unit.vpd_page(0xB0))[6:8] == b"\0\x10"


async def test_rotation_rate() -> None:
    """MEDIUM ROTATION RATE."""
    async with bench() as tested:
        await changes(tested, "rotation_rate", 10000)
        assert (await tested.unit.vpd_page(0xB1))[4:6] == (10000).to_bytes(2)


async def test_device_type(tmp_path: Path) -> None:
    """A drive has a disc, which is only read."""
    image = tmp_path / "a.iso"
    image.write_bytes(bytes(4 * 2048))
    store = Backstore(key=BackstoreKey("fileio", "a"), path=str(image), unit_serial="a")
    async with bench(store, {"device_type": "cd"}) as tested:
        data = await standard(tested)
        assert (data[0], data[1]) == (0x05, 0x80)
        assert await tested.sense(b"\x2a" + bytes(9)) is Sense.INVALID_COMMAND_OPERATION_CODE
    async with bench(store) as tested:
        assert (await standard(tested))[0] == 0
