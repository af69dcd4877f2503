import pytest

from isthmus.scsi.lun import REPORT_LUNS_WELL_KNOWN, encode_lun
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task
from tests.support.scsi import TEST_UNIT_READY, Bench, Owner, make_nexus, read_10, sense_of, write_10

INQUIRY = bytes([0x12, 0, 0, 0, 255, 0])
NOT_SUPPORTED = SenseData(sense=Sense.LOGICAL_UNIT_NOT_SUPPORTED)


def run(cdb: bytes, lun: int = 5) -> Response:
    """The response at a LUN at which there is nothing."""
    return Bench().run(cdb, lun=lun)


def test_inquiry() -> None:
    """INQUIRY answers that there is nothing: peripheral qualifier 011b, device type 1Fh."""
    response = run(INQUIRY)
    data = bytes(response.data_in)
    assert response.status is Status.GOOD
    assert data[0] == 0x7F
    assert len(data) == data[4] + 5 >= 36


def test_inquiry_is_cut_to_the_allocation_length() -> None:
    """The initiator gets no more than it has room for."""
    assert len(bytes(run(bytes([0x12, 0, 0, 0, 5, 0])).data_in)) == 5


def test_inquiry_for_a_page() -> None:
    """A unit that is not there has no vital product data."""
    assert sense_of(run(bytes([0x12, 1, 0x83, 0, 255, 0]))) == (0x05, 0x24, 0x00)


@pytest.mark.parametrize("lun", [5, 300])
def test_report_luns(lun: int) -> None:
    """REPORT LUNS answers at any LUN what the nexus can see."""
    data = bytes(run(bytes([0xA0]) + bytes(8) + b"\x40\0\0", lun).data_in)
    assert data == (8).to_bytes(4) + bytes(4) + encode_lun(0).to_bytes(8)


def test_report_luns_at_the_well_known_logical_unit() -> None:
    """The REPORT LUNS well known logical unit is where initiators may ask first."""
    bench, owner = Bench(), Owner()
    cdb = bytes([0xA0]) + bytes(8) + b"\x40\0\0" + bytes(4)
    task = Task(nexus=bench.nexus, lun=REPORT_LUNS_WELL_KNOWN, tag=1, cdb=cdb, owner=owner)
    bench.router.submit(task)
    assert owner.status(task) is Status.GOOD


@pytest.mark.parametrize("descriptor", [False, True])
def test_request_sense(descriptor: bool) -> None:
    """REQUEST SENSE gives LOGICAL UNIT NOT SUPPORTED as data with GOOD, in the format that is asked for."""
    response = run(bytes([0x03, int(descriptor), 0, 0, 252, 0]))
    assert response.status is Status.GOOD
    assert bytes(response.data_in) == NOT_SUPPORTED.to_bytes(descriptor=descriptor)


@pytest.mark.parametrize("cdb", [TEST_UNIT_READY, read_10(0, 1), write_10(0, 1), b"\xff"])
def test_everything_else(cdb: bytes) -> None:
    """Any other command, known or not, is told that there is no such unit."""
    assert sense_of(run(cdb)) == (0x05, 0x25, 0x00)


def test_a_nexus_without_units() -> None:
    """A nexus that may see nothing still gets answers."""
    bench, owner, nexus = Bench(), Owner(), make_nexus()
    task = Task(nexus=nexus, lun=0, tag=1, cdb=INQUIRY.ljust(16, b"\0"), owner=owner)
    bench.router.nexus_established(nexus)
    bench.router.submit(task)
    response = owner.ends[task]
    assert response is not None
    assert bytes(response.data_in)[:1] == b"\x7f"
