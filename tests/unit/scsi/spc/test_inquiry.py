import pytest

from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.sense import Sense
from tests.support.primary import data_of, in_cdb, inquiry, refusal
from tests.support.scsi import Bench, make_unit


def test_standard_data() -> None:
    """The standard data say what kind of device this is, and which standards it follows."""
    unit = make_unit(identity=UnitIdentity(serial="1", naa=1, vendor="ACME", product="SHELF", revision="2.1"))
    data = data_of(Bench(unit=unit).run(inquiry()))
    assert len(data) == 96
    assert data[:8] == bytes((0x00, 0x00, 0x06, 0x32, 91, 0x38, 0x00, 0x02))
    assert data[8:36] == b"ACME    SHELF           2.1 "
    assert data[36:58] == bytes(22)
    assert data[58:66] == bytes.fromhex("00a0 0960 0460 04c0")
    assert data[66:] == bytes(30)


@pytest.mark.parametrize("length", [0, 4, 5, 36, 95, 96, 255, 256, 512, 0xFFFF])
def test_allocation_length(length: int) -> None:
    """The data are cut to an allocation length of two bytes, and ADDITIONAL LENGTH stays."""
    data = data_of(Bench().run(inquiry(allocation_length=length)))
    assert len(data) == min(length, 96)
    assert data == data_of(Bench().run(inquiry()))[:length]


def test_page_code_without_evpd() -> None:
    """A page code counts only with EVPD."""
    assert refusal(Bench().run(bytes((0x12, 0, 0x83, 0, 255, 0)))) == in_cdb(2)


@pytest.mark.parametrize("page", [0x01, 0x82, 0x85, 0xB3, 0xFF])
def test_unknown_page(page: int) -> None:
    """A page that is not supported is refused."""
    assert refusal(Bench().run(inquiry(page))) == in_cdb(2)


def test_obsolete_cmddt() -> None:
    """CMDDT of SPC-2 is refused."""
    assert refusal(Bench().run(bytes((0x12, 0x02, 0, 0, 255, 0)))) == in_cdb(1, 1)


def test_unit_attention_stays() -> None:
    """INQUIRY runs although a unit attention is pending, which the next command reports."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert len(data_of(bench.run(inquiry()))) == 96
    assert refusal(bench.run(bytes(6)))[0] is Sense.MODE_PARAMETERS_CHANGED


def test_stopped_unit() -> None:
    """A unit that is stopped can still be identified."""
    bench = Bench()
    bench.unit.started = False
    assert len(data_of(bench.run(inquiry()))) == 96
    assert data_of(bench.run(inquiry(0x80)))


def test_without_unit() -> None:
    """At a LUN without a unit, INQUIRY succeeds and says that there is none."""
    data = data_of(Bench().run(inquiry(), lun=7))
    assert data[0] == 0x7F
    assert len(data) == 96
    assert data[4] == 91
    assert data[8:36] == b" " * 28
    assert data_of(Bench().run(inquiry(allocation_length=5), lun=7)) == data[:5]


def test_page_without_unit() -> None:
    """A unit that is not there has no vital product data."""
    assert refusal(Bench().run(inquiry(0x83), lun=7)) == in_cdb(1, 0)
    assert refusal(Bench().run(bytes((0x12, 0, 0x83, 0, 255, 0)), lun=7)) == in_cdb(2)
