"""The log pages (SPC-5 §7.3, SBC-4 §6.4).

`LOG_PAGES` is the only list of them: LOG SENSE and LOG SELECT look pages up in it, and the pages that list the pages are
made of it. A page is a row: its codes, and what gives its parameters. What storage behind a system cannot know (a
temperature, corrected errors) is reported in the way that the standard has for it, and never made up.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.self_tests import KEPT_RESULTS, RESULT_LENGTH, hours_powered_on
from isthmus.scsi.thresholds import Resource, threshold_exponent

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ALL_SUBPAGES",
    "APPLICATION_CLIENT",
    "LOG_PAGES",
    "SELF_TEST_RESULTS",
    "LogPage",
    "LogPageKey",
    "LogParameter",
    "build_log_page",
    "log_pages_of",
]

LogPageKey = tuple[int, int]
"""Page code and subpage code."""

ALL_SUBPAGES: Final = 0xFF
_DS: Final = 0x80
"""The page is not saved (SPC-5 §7.3.2.1)."""
_SPF: Final = 0x40
_COUNTER: Final = 0x00
"""FORMAT AND LINKING 00b: a bounded data counter, not saved, with no threshold to be compared with."""
_LIST: Final = 0x03
"""FORMAT AND LINKING 11b: a binary list."""
_NO_TEMPERATURE: Final = 0xFF
"""The device server cannot tell the temperature (SPC-5 §7.3.21)."""
_NOT_SCANNING: Final = 0x00
_MILLISECONDS_IN_A_MINUTE: Final = 60_000

_TRANSITIONS: Final = {
    0x0001: PowerCondition.ACTIVE,
    0x0002: PowerCondition.IDLE_A,
    0x0003: PowerCondition.IDLE_B,
    0x0004: PowerCondition.IDLE_C,
    0x0008: PowerCondition.STANDBY_Z,
    0x0009: PowerCondition.STANDBY_Y,
}
"""By parameter code (SPC-5 §7.3.13)."""

_DEDICATED: Final = 0x01
_SHARED: Final = 0x02
"""The SCOPE of a resource count (SBC-4 §6.4.5)."""

APPLICATION_CLIENT: Final[LogPageKey] = (0x0F, 0x00)
SELF_TEST_RESULTS: Final[LogPageKey] = (0x10, 0x00)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogParameter:
    """One parameter: a counter, or a list of whatever its page defines."""

    code: int
    value: bytes
    is_counter: bool = False

    def to_bytes(self) -> bytes:
        """The parameter as it travels (SPC-5 §7.3.2.2)."""
        control = _COUNTER if self.is_counter else _LIST
        return struct.pack(">HBB", self.code, control, len(self.value)) + self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """One row."""

    code: int
    subpage: int = 0
    name: str
    source: str
    parameters: Callable[["LogicalUnit"], Sequence[LogParameter]] | None
    """In the order of their codes; None for a page that lists pages."""
    has_counters: bool = False
    """PC counts: the values can be the cumulative ones, or the default ones, which are 0."""
    of_disks: bool = False
    """It is about what is written, or a page of SBC."""
    is_measured: bool = False
    """The parameters are those of a measurement of space, which a backstore has to be able to make."""

    @property
    def key(self) -> LogPageKey:
        """How the page is found."""
        return (self.code, self.subpage)


def build_log_page(page: LogPage, payload: bytes) -> bytes:
    """`payload` behind the header of `page` (SPC-5 §7.3.2.1)."""
    flags = (_DS if page.parameters is not None else 0) | (_SPF if page.subpage else 0)
    return struct.pack(">BBH", flags | page.code, page.subpage, len(payload)) + payload


def _counter(code: int, value: int) -> LogParameter:
    return LogParameter(code=code, value=value.to_bytes(8), is_counter=True)


def _error_counters(bytes_processed: int, uncorrected: int) -> Sequence[LogParameter]:
    """SPC-5 §7.3.6: what the storage corrects it does not tell, so that nothing was corrected here."""
    corrected = [_counter(code, 0) for code in range(0x0005)]
    return [*corrected, _counter(0x0005, bytes_processed), _counter(0x0006, uncorrected)]


def _write_errors(unit: "LogicalUnit") -> Sequence[LogParameter]:
    counts = unit.statistics.since_reset
    return _error_counters(counts.bytes_written, counts.write_errors)


def _read_errors(unit: "LogicalUnit") -> Sequence[LogParameter]:
    counts = unit.statistics.since_reset
    return _error_counters(counts.bytes_read, counts.read_errors)


def _verify_errors(unit: "LogicalUnit") -> Sequence[LogParameter]:
    counts = unit.statistics.since_reset
    return _error_counters(counts.bytes_verified, counts.verify_errors)


def _temperature(_unit: "LogicalUnit") -> Sequence[LogParameter]:
    """Neither the temperature nor the reference temperature is known."""
    return [LogParameter(code=code, value=bytes((0, _NO_TEMPERATURE))) for code in (0x0000, 0x0001)]


def _start_stop_cycles(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SPC-5 §7.3.17: no date of manufacture, and no number of cycles that the unit is made for."""
    return [LogParameter(code=0x0004, value=(unit.power.start_stop_cycles & 0xFFFF_FFFF).to_bytes(4))]


def _power_transitions(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SPC-5 §7.3.13: how often each power condition was entered since the server has started."""
    counts = unit.power.transitions
    return [
        LogParameter(code=code, value=(counts[condition] & 0xFFFF_FFFF).to_bytes(4))
        for code, condition in _TRANSITIONS.items()
    ]


def _application_client(unit: "LogicalUnit") -> Sequence[LogParameter]:
    return [LogParameter(code=code, value=value) for code, value in enumerate(unit.application_client.parameters)]


def _self_test_results(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SPC-5 §7.3.16: always twenty, the last test first; those that never were are zeros."""
    results = unit.self_tests.shown(hours_powered_on(unit))
    results += [bytes(RESULT_LENGTH)] * (KEPT_RESULTS - len(results))
    return [LogParameter(code=code, value=value) for code, value in enumerate(results, start=1)]


def _background_scan(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SBC-4 §6.4.2: no scan has ever run. The minutes are those since the server has started."""
    minutes = min(unit.timestamp.milliseconds_powered_on // _MILLISECONDS_IN_A_MINUTE, 0xFFFF_FFFF)
    return [LogParameter(code=0x0000, value=struct.pack(">IxBHHH", minutes, _NOT_SCANNING, 0, 0, 0))]


def _general_statistics(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SPC-5 §7.3.8. Time is not measured, of commands or between them: the interval has no length, and there are none."""
    counts = unit.statistics.since_reset
    received, transmitted = counts.bytes_written // unit.block_length, counts.bytes_read // unit.block_length
    statistics = (counts.read_commands, counts.write_commands, received, transmitted, 0, 0, 0, 0)
    return [
        LogParameter(code=0x0001, value=struct.pack(">8Q", *statistics)),
        LogParameter(code=0x0002, value=bytes(8)),
        LogParameter(code=0x0003, value=struct.pack(">II", 0, 0)),
    ]


def _informational_exceptions(_unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SPC-5 §7.3.10: no exception is pending, as no failure is predicted (DEXCPT in the mode page of that name).

    The byte behind the temperature is vendor specific; tools take it for a threshold, and here there is none.
    """
    return [LogParameter(code=0x0000, value=bytes((0, 0, _NO_TEMPERATURE, _NO_TEMPERATURE)))]


def _provisioning(unit: "LogicalUnit") -> Sequence[LogParameter]:
    """SBC-4 §6.4.5, in threshold sets: what is left is shared with others, what is used is used by this unit alone."""
    space = unit.thresholds.latest
    if space is None:
        return []
    set_length = unit.block_length << threshold_exponent(unit)
    counts = ((Resource.AVAILABLE, space.available, _SHARED), (Resource.USED, space.used, _DEDICATED))
    return [
        LogParameter(code=resource, value=struct.pack(">IB3x", min(amount // set_length, 0xFFFF_FFFF), scope))
        for resource, amount, scope in counts
    ]


_ROWS: Final = (
    LogPage(code=0x00, name="Supported Log Pages", source="SPC-5 §7.3.18", parameters=None),
    LogPage(
        code=0x00,
        subpage=ALL_SUBPAGES,
        name="Supported Log Pages and Subpages",
        source="SPC-5 §7.3.19",
        parameters=None,
    ),
    LogPage(
        code=0x02,
        name="Write Error Counters",
        source="SPC-5 §7.3.23",
        parameters=_write_errors,
        of_disks=True,
        has_counters=True,
    ),
    LogPage(code=0x03, name="Read Error Counters", source="SPC-5 §7.3.15", parameters=_read_errors, has_counters=True),
    LogPage(
        code=0x05, name="Verify Error Counters", source="SPC-5 §7.3.22", parameters=_verify_errors, has_counters=True
    ),
    LogPage(
        code=0x0C,
        name="Logical Block Provisioning",
        source="SBC-4 §6.4.5",
        parameters=_provisioning,
        of_disks=True,
        is_measured=True,
    ),
    LogPage(code=0x0D, name="Temperature", source="SPC-5 §7.3.21", parameters=_temperature),
    LogPage(code=0x0E, name="Start-Stop Cycle Counter", source="SPC-5 §7.3.17", parameters=_start_stop_cycles),
    LogPage(code=0x0F, name="Application Client", source="SPC-5 §7.3.4", parameters=_application_client),
    LogPage(code=0x10, name="Self-Test Results", source="SPC-5 §7.3.16", parameters=_self_test_results),
    LogPage(code=0x15, name="Background Scan", source="SBC-4 §6.4.2", parameters=_background_scan, of_disks=True),
    LogPage(
        code=0x19, name="General Statistics and Performance", source="SPC-5 §7.3.8", parameters=_general_statistics
    ),
    LogPage(code=0x1A, name="Power Condition Transitions", source="SPC-5 §7.3.13", parameters=_power_transitions),
    LogPage(code=0x2F, name="Informational Exceptions", source="SPC-5 §7.3.10", parameters=_informational_exceptions),
)

LOG_PAGES: Final[Mapping[LogPageKey, LogPage]] = {page.key: page for page in sorted(_ROWS, key=lambda page: page.key)}
"""Every page, by page code and subpage code, in that order."""
_WITHOUT_MEASUREMENTS: Final = {key: page for key, page in LOG_PAGES.items() if not page.is_measured}
_OF_DRIVES: Final = {key: page for key, page in LOG_PAGES.items() if not page.of_disks}


def log_pages_of(unit: "LogicalUnit") -> Mapping[LogPageKey, LogPage]:
    """The pages that `unit` has."""
    if unit.device_type.is_drive:
        return _OF_DRIVES
    if unit.backstore.capabilities.measures_space:
        return LOG_PAGES
    return _WITHOUT_MEASUREMENTS
