"""The contents of the log pages."""

import struct

from isthmus.backstores.base import Space
from isthmus.backstores.null import NullBackstore
from isthmus.errors import BackstoreError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.spc.log_pages import LOG_PAGES, build_log_page, log_pages_of
from tests.support.primary import CachedMemory
from tests.support.scsi import Bench, HeldExecutor, make_unit, read_10, write_10


def parameters(unit: LogicalUnit, code: int) -> dict[int, bytes]:
    """The values of a page by parameter code; its parameters are in order."""
    build = LOG_PAGES[code, 0].parameters
    assert build is not None
    found = build(unit)
    assert [each.code for each in found] == sorted(each.code for each in found)
    return {each.code: each.value for each in found}


def counter(value: int) -> bytes:
    """A counter as it travels."""
    return value.to_bytes(8)


def test_error_counters() -> None:
    """Bytes and real errors are counted by kind; what the storage corrects it does not tell."""
    executor = HeldExecutor()
    bench = Bench(unit=LogicalUnit(CachedMemory()), executor=executor)
    for cdb, data in ((read_10(0, 2), b""), (write_10(0, 3), bytes(1536))):
        bench.start(cdb, data)
        executor.finish_all()
        bench.start(cdb, data)
        executor.finish(error=BackstoreError(5, "the disk is broken"))
    corrected = dict.fromkeys(range(5), counter(0))
    assert parameters(bench.unit, 0x03) == {**corrected, 5: counter(1024), 6: counter(1)}
    assert parameters(bench.unit, 0x02) == {**corrected, 5: counter(1536), 6: counter(1)}
    assert parameters(bench.unit, 0x05) == {**corrected, 5: counter(0), 6: counter(0)}


def test_temperature_is_not_known() -> None:
    """No temperature is made up: FFh says that there is none to tell."""
    unit = make_unit()
    assert parameters(unit, 0x0D) == {0: b"\0\xff", 1: b"\0\xff"}
    assert parameters(unit, 0x2F) == {0: b"\0\0\xff\xff"}


def test_power() -> None:
    """Start-stop cycles, and how often each power condition was entered, under the codes that the standard gives them."""
    unit = make_unit()
    unit.power.start_stop_cycles = 3
    for condition in (
        PowerCondition.STANDBY_Z,
        PowerCondition.STANDBY_Y,
        PowerCondition.ACTIVE,
        PowerCondition.STANDBY_Y,
    ):
        unit.power.command(condition)
    assert parameters(unit, 0x0E) == {4: bytes((0, 0, 0, 3))}
    counts = {1: 1, 2: 0, 3: 0, 4: 0, 8: 1, 9: 2}
    assert parameters(unit, 0x1A) == {code: value.to_bytes(4) for code, value in counts.items()}


def test_background_scan() -> None:
    """No scan has run, and the minutes are those since the start."""
    now = [1_000_000]
    unit = make_unit(clock=lambda: now[0])
    now[0] += 5 * 60_000 + 59_999
    assert parameters(unit, 0x15) == {0: struct.pack(">I8x", 5)}


def test_general_statistics() -> None:
    """Commands and blocks are counted, with those that the engine has served."""
    bench = Bench()
    bench.run(write_10(0, 3), bytes(1536))
    bench.run(read_10(0, 2))
    (grant,) = bench.nexus.grants.values()
    grant.read_commands, grant.read_bytes = 10, 10 * 4096
    assert parameters(bench.unit, 0x19) == {1: struct.pack(">8Q", 11, 1, 3, 82, 0, 0, 0, 0), 2: bytes(8), 3: bytes(8)}


def test_logical_block_provisioning() -> None:
    """Whole threshold sets of a mebibyte: what is left, for whoever shares it, and what this unit uses."""
    unit = make_unit()
    assert parameters(unit, 0x0C) == {}
    unit.thresholds.observe(Space(used=(3 << 20) + 5, available=(1 << 40) - 1))
    assert parameters(unit, 0x0C) == {1: struct.pack(">IB3x", (1 << 20) - 1, 2), 2: struct.pack(">IB3x", 3, 1)}
    unit.thresholds.observe(Space(used=0, available=1 << 62))
    assert parameters(unit, 0x0C)[1] == struct.pack(">IB3x", 0xFFFF_FFFF, 2)


def test_only_storage_that_can_be_measured_has_that_page() -> None:
    """It is the only one that depends on the storage."""
    assert log_pages_of(make_unit()) == LOG_PAGES
    assert LOG_PAGES.keys() - log_pages_of(LogicalUnit(NullBackstore("null", 4096))).keys() == {(0x0C, 0)}


def test_application_client() -> None:
    """The page holds what application clients have left."""
    unit = make_unit()
    unit.application_client.parameters[2] = b"x" * 252
    values = parameters(unit, 0x0F)
    assert len(values) == 64
    assert values[1] == bytes(252)
    assert values[2] == b"x" * 252


def test_headers() -> None:
    """A page that is not saved says so; one with a subpage says that, and the lists of pages are neither."""
    assert build_log_page(LOG_PAGES[0x02, 0], b"abc") == b"\x82\0\0\3abc"
    assert build_log_page(LOG_PAGES[0x00, 0], b"abc") == b"\0\0\0\3abc"
    assert build_log_page(LOG_PAGES[0x00, 0xFF], b"abc") == b"\x40\xff\0\3abc"


def test_parameter_headers() -> None:
    """A counter is a bounded data counter, everything else a binary list."""
    unit = make_unit()
    for page in LOG_PAGES.values():
        for parameter in page.parameters(unit) if page.parameters is not None else ():
            code, control, length = struct.unpack_from(">HBB", parameter.to_bytes())
            assert (code, length) == (parameter.code, len(parameter.value))
            assert control == (0x00 if page.has_counters else 0x03)
