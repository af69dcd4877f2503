"""READ DEFECT DATA."""

import pytest

from isthmus.scsi.status import Status
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import Bench


def read_defect_data_10(fields: int, allocation_length: int = 255) -> bytes:
    """READ DEFECT DATA (10); `fields` are REQ_PLIST, REQ_GLIST and the format."""
    return bytes((0x37, 0, fields, 0, 0, 0, 0)) + allocation_length.to_bytes(2) + b"\0"


def read_defect_data_12(fields: int, allocation_length: int = 255, index: int = 0) -> bytes:
    """READ DEFECT DATA (12)."""
    return bytes((0xB7, fields)) + index.to_bytes(4) + allocation_length.to_bytes(4) + b"\0\0"


@pytest.mark.parametrize("fields", [0x00, 0x08, 0x10, 0x1D])
def test_empty(fields: int) -> None:
    """The lists that are asked for are there, in the format that is asked for, and hold nothing."""
    assert data_of(Bench().run(read_defect_data_10(fields))) == bytes((0, fields, 0, 0))
    assert data_of(Bench().run(read_defect_data_12(fields, index=7))) == bytes((0, fields, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("length", [0, 2, 4])
def test_allocation_length(length: int) -> None:
    """No more is sent than there is room for."""
    assert len(data_of(Bench().run(read_defect_data_10(0, length)))) == length
    assert len(data_of(Bench().run(read_defect_data_12(0, length)))) == length


@pytest.mark.parametrize("fields", [6, 7])
def test_unknown_format(fields: int) -> None:
    """A format that the standard does not define is refused."""
    assert refusal(Bench().run(read_defect_data_10(fields))) == in_cdb(2, 2)
    assert refusal(Bench().run(read_defect_data_12(fields))) == in_cdb(1, 2)


def test_reserved() -> None:
    """A reservation that excludes readers excludes these as well."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.run(bytes((0x16, 0, 0, 0, 0, 0)))
    for cdb in (read_defect_data_10(0), read_defect_data_12(0)):
        assert bench.run(cdb, nexus=other).status is Status.RESERVATION_CONFLICT
