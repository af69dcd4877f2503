import struct

import pytest

from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import Sense
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import Bench

FLAT = 0x4000_0000_0000_0000


def cdb(select_report: int = 0, allocation_length: int = 0xFFFF) -> bytes:
    """REPORT LUNS."""
    return struct.pack(">BxBxxxIxx", 0xA0, select_report, allocation_length)


def luns(data: bytes) -> list[int]:
    """The LUN fields of a list that is all there."""
    assert int.from_bytes(data[:4]) == len(data) - 8
    assert data[4:8] == bytes(4)
    return [value for (value,) in struct.iter_unpack(">Q", data[8:])]


def bench_with(*numbers: int) -> Bench:
    """A target whose unit is at these LUNs."""
    bench = Bench()
    bench.nexus.mappings.clear()
    bench.nexus.mappings.update({number: LunMapping(bench.unit) for number in numbers})
    return bench


@pytest.mark.parametrize("select_report", [0x00, 0x02, 0x11])
def test_mapped_units(select_report: int) -> None:
    """What is mapped is listed in ascending order, with flat space addressing above 255."""
    data = data_of(bench_with(300, 3, 0).run(cdb(select_report)))
    assert luns(data) == [0, 3 << 48, FLAT | 300 << 48]


@pytest.mark.parametrize("select_report", [0x01, 0x10, 0x12])
def test_kinds_that_there_are_none_of(select_report: int) -> None:
    """There are no well known, administrative or subsidiary logical units, and that is no error."""
    assert data_of(Bench().run(cdb(select_report))) == bytes(8)


@pytest.mark.parametrize("select_report", [0x03, 0x0F, 0x13, 0xFF])
def test_unknown_select_report(select_report: int) -> None:
    """A SELECT REPORT value that SPC-5 does not define is refused."""
    assert refusal(Bench().run(cdb(select_report))) == in_cdb(2)
    assert refusal(Bench().run(cdb(select_report), lun=9)) == in_cdb(2)


@pytest.mark.parametrize("length", [0, 4, 8, 15, 16, 20])
def test_allocation_length(length: int) -> None:
    """The list is cut, even below 16 bytes, and LUN LIST LENGTH tells what there is."""
    data = data_of(bench_with(0, 1).run(cdb(allocation_length=length)))
    assert data == struct.pack(">IxxxxQQ", 16, 0, 1 << 48)[:length]


def test_without_unit() -> None:
    """Any LUN will do to ask for the list, and LUN 0 is not in it if nothing is there."""
    bench = bench_with(5)
    assert luns(data_of(bench.run(cdb(), lun=0))) == [5 << 48]
    assert luns(data_of(bench.run(cdb(), lun=77))) == [5 << 48]


def test_nothing_mapped() -> None:
    """A nexus that sees nothing gets an empty list, or LUN 0 when it asks for everything."""
    bench = bench_with()
    assert luns(data_of(bench.run(cdb(0x00)))) == []
    assert luns(data_of(bench.run(cdb(0x02)))) == [0]


def test_clears_its_unit_attention() -> None:
    """Who has read the list knows it: REPORTED LUNS DATA HAS CHANGED goes, other unit attentions stay."""
    bench = Bench()
    attentions = bench.unit.unit_attentions
    attentions.establish(bench.nexus, Sense.REPORTED_LUNS_DATA_HAS_CHANGED)
    attentions.establish(bench.nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert luns(data_of(bench.run(cdb()))) == [0]
    assert refusal(bench.run(bytes(6)))[0] is Sense.MODE_PARAMETERS_CHANGED
    data_of(bench.run(bytes(6)))
