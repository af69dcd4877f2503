"""The mode pages of a disk, as values (SPC-5 §7.5, SBC-4 §6.5).

`PAGES` is the only source: MODE SENSE builds current, changeable and default values from it, MODE SELECT checks against
it, and the properties of `ModePages` read it. A bit that no field of the table covers is 0 and cannot be changed. Every
changeable field does what the standard says of it; one that would not be honoured is not changeable. The pages are
shared by all nexuses. Those with changeable fields can be saved; a logical unit reset brings back the saved values, or
the defaults where nothing was saved.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.task_set_rules import QueueErrorManagement, TaskSetRules, UnitAttentionInterlock
from isthmus.scsi.thresholds import NO_THRESHOLDS, Resource, Threshold, Thresholds

__all__ = [
    "ALL_PAGES",
    "ALL_SUBPAGES",
    "PAGES",
    "BitPosition",
    "ModeField",
    "ModePage",
    "ModePages",
    "PageControl",
    "PageKey",
]

ALL_PAGES: Final = 0x3F
ALL_SUBPAGES: Final = 0xFF
_SUBPAGE_FORMAT: Final = 0x40
"""SPF, in the first byte of a page (SPC-5 §7.5.8)."""
_PARAMETERS_SAVEABLE: Final = 0x80

PageKey = tuple[int, int]
"""Page code and subpage code; the subpage of a page in page_0 format is 0."""


class PageControl(enum.IntEnum):
    """The PC field of MODE SENSE (SPC-5 §6.14.1)."""

    CURRENT = 0
    CHANGEABLE = 1
    DEFAULT = 2
    SAVED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeField:
    """A field of a page. `byte` counts from the start of the page; the field ends at `bit` (0 is the least significant)."""

    name: str
    byte: int
    bit: int = 0
    width: int = 1
    """Bits; a field wider than its first byte goes on in the bytes after it."""
    default: int = 0
    changeable: bool = False
    values: tuple[int, ...] = ()
    """What a changeable field may be, if that is not anything that fits: the others are reserved."""

    def place(self, value: int, page_length: int) -> int:
        """`value` where this field stands in a page taken as one big-endian number of `page_length` bytes."""
        last_byte = self.byte + (self.bit + self.width - 1) // 8
        return value << (8 * (page_length - 1 - last_byte) + self.bit)

    def mask(self, page_length: int) -> int:
        """The bits of this field, likewise."""
        return self.place((1 << self.width) - 1, page_length)

    def value(self, page: int, page_length: int) -> int:
        """What this field holds in `page`, taken likewise."""
        return (page & self.mask(page_length)) // self.place(1, page_length)

    def is_reserved(self, page: int, page_length: int) -> bool:
        """Whether it holds a value in `page` that means nothing."""
        return bool(self.values) and self.value(page, page_length) not in self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class ModePage:
    """One row: a page and what in it is not 0."""

    code: int
    subpage: int = 0
    name: str
    length: int
    """Bytes, with the header of the page."""
    source: str
    fields: tuple[ModeField, ...] = ()

    @property
    def key(self) -> PageKey:
        """How `ModePages` finds the page."""
        return (self.code, self.subpage)

    @property
    def header(self) -> bytes:
        """PS, SPF, page code, subpage code and page length (SPC-5 §7.5.8)."""
        saveable = _PARAMETERS_SAVEABLE if self.changeable else 0
        if self.subpage:
            return bytes([saveable | _SUBPAGE_FORMAT | self.code, self.subpage]) + (self.length - 4).to_bytes(2)
        return bytes([saveable | self.code, self.length - 2])

    def build(self, value: int) -> bytes:
        """The page whose bits behind the header are those of `value`."""
        return self.header + value.to_bytes(self.length)[len(self.header) :]

    @property
    def default(self) -> int:
        """The default value, as one big-endian number."""
        return sum(field.place(field.default, self.length) for field in self.fields)

    @property
    def changeable(self) -> int:
        """The bits that MODE SELECT may change."""
        return sum(field.mask(self.length) for field in self.fields if field.changeable)


_WCE: Final = ModeField(name="WCE", byte=2, bit=2, default=1, changeable=True)
_TST: Final = ModeField(name="TST", byte=2, bit=5, width=3, changeable=True, values=(0, 1))
_TMF_ONLY: Final = ModeField(name="TMF_ONLY", byte=2, bit=4, changeable=True)
_D_SENSE: Final = ModeField(name="D_SENSE", byte=2, bit=2, changeable=True)
# SIMPLE tasks run side by side, in any order: initiators that need an order must ask for it.
_QUEUE_ALGORITHM_MODIFIER: Final = ModeField(
    name="QUEUE ALGORITHM MODIFIER", byte=3, bit=4, width=4, default=1, changeable=True, values=(0, 1)
)
_QERR: Final = ModeField(
    name="QERR", byte=3, bit=1, width=2, changeable=True, values=tuple(map(int, QueueErrorManagement))
)
_UA_INTLCK_CTRL: Final = ModeField(
    name="UA_INTLCK_CTRL", byte=4, bit=4, width=2, changeable=True, values=tuple(map(int, UnitAttentionInterlock))
)
_SWP: Final = ModeField(name="SWP", byte=4, bit=3, changeable=True)
_TAS: Final = ModeField(name="TAS", byte=5, bit=6, default=1, changeable=True)

_CACHING: Final = (0x08, 0)
_CONTROL: Final = (0x0A, 0)
_CONTROL_LENGTH: Final = 12

_PROVISIONING: Final = (0x1C, 0x02)
_PROVISIONING_LENGTH: Final = 32
_SITUA: Final = ModeField(name="SITUA", byte=4, changeable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ThresholdDescriptor:
    """SBC-4 §6.5.9.2: a soft threshold, in threshold sets, of which all but the resource and its direction can be set."""

    resource: Resource
    place: int

    @property
    def enabled(self) -> ModeField:
        return ModeField(name="ENABLED", byte=self.place, bit=7, changeable=True)

    @property
    def count(self) -> ModeField:
        return ModeField(name="THRESHOLD COUNT", byte=self.place + 4, width=32, changeable=True)

    @property
    def fields(self) -> tuple[ModeField, ...]:
        """THRESHOLD ARMING: decreasing (000b) for what is left, increasing (001b) for what is used."""
        arming = int(self.resource is Resource.USED)
        return (
            self.enabled,
            ModeField(name="THRESHOLD ARMING", byte=self.place, width=3, default=arming),
            ModeField(name="THRESHOLD RESOURCE", byte=self.place + 1, width=8, default=self.resource),
            self.count,
        )


_THRESHOLD_DESCRIPTORS: Final = (
    _ThresholdDescriptor(resource=Resource.AVAILABLE, place=16),
    _ThresholdDescriptor(resource=Resource.USED, place=24),
)

_POWER_CONDITION: Final = (0x1A, 0)
_POWER_CONDITION_LENGTH: Final = 40
_TIMER_UNIT: Final = 0.1
"""Seconds (SPC-5 §7.5.16)."""
_CCF_DISABLED: Final = 0b01
"""No command ends with CHECK CONDITION because the unit has to become active first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PowerTimer:
    """A power condition with the timer that leads to it (SPC-5 §7.5.16)."""

    condition: PowerCondition
    byte: int
    bit: int
    place: int
    """Where the timer stands; `byte` and `bit` are those of the flag that enables it."""

    @property
    def enabled(self) -> ModeField:
        return ModeField(name=self.condition.name, byte=self.byte, bit=self.bit, changeable=True)

    @property
    def timer(self) -> ModeField:
        name = f"{self.condition.name} CONDITION TIMER"
        return ModeField(name=name, byte=self.place, width=32, changeable=True)


_POWER_TIMERS: Final = (
    _PowerTimer(condition=PowerCondition.STANDBY_Y, byte=2, bit=0, place=20),
    _PowerTimer(condition=PowerCondition.IDLE_C, byte=3, bit=3, place=16),
    _PowerTimer(condition=PowerCondition.IDLE_B, byte=3, bit=2, place=12),
    _PowerTimer(condition=PowerCondition.IDLE_A, byte=3, bit=1, place=4),
    _PowerTimer(condition=PowerCondition.STANDBY_Z, byte=3, bit=0, place=8),
)

PAGES: Final[tuple[ModePage, ...]] = (
    # AWRE, ARRE and the retry counts are the storage's own business: nothing here could be told to do otherwise.
    ModePage(code=0x01, name="Read-Write Error Recovery", length=12, source="SBC-4 §6.5.10"),
    # iSCSI negotiates bursts by text keys, so nothing of this page applies (RFC 7143 §13).
    ModePage(code=0x02, name="Disconnect-Reconnect", length=16, source="SPC-5 §7.5.13"),
    # WCE is 1 while GOOD may be answered before a write is durable; RCD 0, as reads come from the cache at will.
    ModePage(code=0x08, name="Caching", length=20, source="SBC-4 §6.5.6", fields=(_WCE,)),
    ModePage(
        code=0x0A,
        name="Control",
        length=_CONTROL_LENGTH,
        source="SPC-5 §7.5.11",
        fields=(
            _TST,
            _TMF_ONLY,
            _D_SENSE,
            ModeField(name="GLTSD", byte=2, bit=1, default=1),
            _QUEUE_ALGORITHM_MODIFIER,
            _QERR,
            _UA_INTLCK_CTRL,
            _SWP,
            _TAS,
            ModeField(name="BUSY TIMEOUT PERIOD", byte=8, width=16, default=0xFFFF),
        ),
    ),
    ModePage(
        code=0x0A,
        subpage=0x01,
        name="Control Extension",
        length=32,
        source="SPC-5 §7.5.12",
        fields=(
            # The timestamp follows the system's clock until an initiator sets it.
            ModeField(name="TCMOS", byte=4, bit=2, default=1),
            ModeField(name="SCSIP", byte=4, bit=1, default=1),
            # The operator may move target port groups between access states at any time.
            ModeField(name="IALUAE", byte=4, bit=0, default=1),
        ),
    ),
    # No timer is enabled until an initiator wants one.
    ModePage(
        code=0x1A,
        name="Power Condition",
        length=_POWER_CONDITION_LENGTH,
        source="SPC-5 §7.5.16",
        fields=(
            *(field for timer in _POWER_TIMERS for field in (timer.enabled, timer.timer)),
            ModeField(name="CCF IDLE", byte=39, bit=6, width=2, default=_CCF_DISABLED),
            ModeField(name="CCF STANDBY", byte=39, bit=4, width=2, default=_CCF_DISABLED),
            ModeField(name="CCF STOPPED", byte=39, bit=2, width=2, default=_CCF_DISABLED),
        ),
    ),
    # No failure is predicted, and the page says so: DEXCPT 1, MRIE 0.
    ModePage(
        code=0x1C,
        name="Informational Exceptions Control",
        length=12,
        source="SBC-4 §6.5.8",
        fields=(ModeField(name="DEXCPT", byte=2, bit=3, default=1),),
    ),
    ModePage(
        code=0x1C,
        subpage=0x02,
        name="Logical Block Provisioning",
        length=_PROVISIONING_LENGTH,
        source="SBC-4 §6.5.9",
        fields=(_SITUA, *(field for descriptor in _THRESHOLD_DESCRIPTORS for field in descriptor.fields)),
    ),
)
"""Every page, in the order of MODE SENSE with page code 3Fh (SPC-5 §6.14.1)."""


@dataclass(frozen=True, slots=True)
class BitPosition:
    """A bit of a page; bit 7 is the most significant of its byte."""

    byte: int
    bit: int


class ModePages:
    """The mode parameters of one logical unit."""

    def __init__(
        self,
        *,
        write_back: bool,
        thresholds: bool = False,
        saved: Mapping[PageKey, bytes] = MappingProxyType({}),
        others: Iterable[ModePage] = (),
    ) -> None:
        """`write_back`: the backstore has a volatile cache (`Backstore.write_back`), so WCE means something.

        `thresholds`: the unit can be asked to warn before its storage is full. `saved`: the pages that were saved; of
        each the fields count that can be changed now. `others`: what the device type has beside `PAGES`.
        """
        self._formats = dict(_WITH_CACHE if write_back else _WITHOUT_CACHE)
        self._formats |= {page.key: page for page in others}
        if not thresholds:
            del self._formats[_PROVISIONING]
        self._saved = {
            key: self._with_changeable(key, page.default, saved[key])
            for key, page in self._formats.items()
            if len(saved.get(key, b"")) == page.length
        }
        self._current: dict[PageKey, int] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the saved values, or else to the defaults (SPC-5 §5.11)."""
        self._current = {key: self._saved.get(key, page.default) for key, page in self._formats.items()}

    def set_defaults(self, values: Mapping[str, int]) -> bool:
        """Give fields, by their names in the table, other defaults; whether a current value has changed with its default.

        Where a page was saved, the saved value counts.
        """
        before = dict(self._current)
        for key, page in self._formats.items():
            if all(values.get(field.name, field.default) == field.default for field in page.fields):
                continue
            fields = tuple(replace(field, default=values.get(field.name, field.default)) for field in page.fields)
            changed = [field for field, known in zip(fields, page.fields, strict=True) if field != known]
            self._formats[key] = replace(page, fields=fields)
            for field in changed if key not in self._saved else ():
                kept = self._current[key] & ~field.mask(page.length)
                self._current[key] = kept | field.place(field.default, page.length)
        return self._current != before

    @property
    def has_write_cache(self) -> bool:
        """Whether WCE means something: it can be set and cleared."""
        return _WCE.mask(self._formats[_CACHING].length) & self._formats[_CACHING].changeable != 0

    def offer_write_cache(self, offered: bool) -> bool:
        """Let WCE mean something, or nothing any more, and be 0; whether its current value has changed."""
        if offered == self.has_write_cache:
            return False
        page = self._formats[_CACHING]
        fields = tuple(field for field in page.fields if field.name != _WCE.name)
        self._formats[_CACHING] = replace(page, fields=(_WCE, *fields) if offered else fields)
        before, mask = self._current[_CACHING], _WCE.mask(page.length)
        self._current[_CACHING] = before | mask if offered else before & ~mask
        if _CACHING in self._saved:
            self._saved[_CACHING] &= ~mask
        return before != self._current[_CACHING]

    def revert(self) -> bool:
        """Back to the defaults (RTD, SPC-5 §6.12); whether anything has changed."""
        before = self._current
        self._current = {key: page.default for key, page in self._formats.items()}
        return self._current != before

    def save(self) -> None:
        """From now on the current values are the saved ones; where they are the defaults, nothing needs to be saved."""
        self._saved = {
            key: self._current[key] for key, page in self._formats.items() if self._current[key] != page.default
        }

    @property
    def saved_pages(self) -> Mapping[PageKey, bytes]:
        """The pages whose saved values are not the defaults."""
        return {key: self._formats[key].build(value) for key, value in self._saved.items()}

    @property
    def formats(self) -> Mapping[PageKey, ModePage]:
        """The pages of this unit."""
        return self._formats

    @property
    def write_cache_enabled(self) -> bool:
        """WCE: if not, a write is durable before GOOD is answered (SBC-4 §6.5.6)."""
        return self._flag(_CACHING, _WCE)

    @property
    def descriptor_sense(self) -> bool:
        """D_SENSE: sense goes out in descriptor format (SPC-5 §7.5.11)."""
        return self._flag(_CONTROL, _D_SENSE)

    @property
    def software_write_protect(self) -> bool:
        """SWP: nothing is written (SPC-5 §7.5.11)."""
        return self._flag(_CONTROL, _SWP)

    @property
    def task_aborted_status(self) -> bool:
        """TAS: a task that another nexus aborts is answered with TASK ABORTED (SPC-5 §7.5.11)."""
        return self._flag(_CONTROL, _TAS)

    @property
    def task_set_rules(self) -> TaskSetRules:
        """What the Control page says of task sets (SPC-5 §7.5.11)."""
        return _task_set_rules(self._current[_CONTROL])

    @property
    def thresholds(self) -> Thresholds:
        """What the Logical Block Provisioning page says (SBC-4 §6.5.9)."""
        page = self._current.get(_PROVISIONING)
        return NO_THRESHOLDS if page is None else _thresholds(page)

    @property
    def power_timers(self) -> Mapping[PowerCondition, float]:
        """After how many seconds without an access each of the enabled timers expires (SPC-5 §7.5.16)."""
        return _power_timers(self._current[_POWER_CONDITION])

    def page(self, key: PageKey, control: PageControl) -> bytes:
        """The page with its current, changeable or default values."""
        page = self._formats[key]
        match control:
            case PageControl.CURRENT:
                return page.build(self._current[key])
            case PageControl.CHANGEABLE:
                return page.build(page.changeable)
            case PageControl.DEFAULT:
                return page.build(page.default)
            case PageControl.SAVED:
                return page.build(self._saved.get(key, page.default))

    def select(self, code: int, subpage: int) -> list[PageKey]:
        """The pages that MODE SENSE asks for; empty if there are none (SPC-5 §6.14.1)."""
        return [
            key for key in sorted(self._formats) if code in (ALL_PAGES, key[0]) and subpage in (ALL_SUBPAGES, key[1])
        ]

    def unchangeable(self, key: PageKey, data: bytes) -> BitPosition | None:
        """The first bit in which `data`, a page of the right length, would change what cannot be changed.

        Else the first field that it would give a reserved value.
        """
        page = self._formats[key]
        # PS is reserved in MODE SELECT; initiators send back what they got.
        given = bytes([data[0] & ~_PARAMETERS_SAVEABLE | page.header[0] & _PARAMETERS_SAVEABLE]) + data[1:]
        wrong = int.from_bytes(given) ^ int.from_bytes(page.build(self._current[key]))
        wrong &= ~page.changeable
        if not wrong:
            return _first_reserved(page, int.from_bytes(given))
        from_start = page.length * 8 - wrong.bit_length()
        return BitPosition(from_start // 8, 7 - from_start % 8)

    def change(self, key: PageKey, data: bytes) -> bool:
        """Take the changeable fields from `data`, in which nothing is `unchangeable`; whether one differed."""
        value = self._with_changeable(key, self._current[key], data)
        changed = value != self._current[key]
        self._current[key] = value
        return changed

    def _with_changeable(self, key: PageKey, value: int, data: bytes) -> int:
        """`value` with the changeable fields of `data`."""
        changeable = self._formats[key].changeable
        return value & ~changeable | int.from_bytes(data) & changeable

    def _flag(self, key: PageKey, field: ModeField) -> bool:
        return bool(self._current[key] & field.mask(self._formats[key].length))


def _first_reserved(page: ModePage, value: int) -> BitPosition | None:
    wrong = next((field for field in page.fields if field.is_reserved(value, page.length)), None)
    return None if wrong is None else BitPosition(wrong.byte, wrong.bit + wrong.width - 1)


@lru_cache(maxsize=64)
def _task_set_rules(control: int) -> TaskSetRules:
    """The rules of a Control page; kept, as every task that enters a task set asks for them."""

    def value(field: ModeField) -> int:
        return field.value(control, _CONTROL_LENGTH)

    return TaskSetRules(
        per_nexus=value(_TST) == 1,
        restricted_reordering=value(_QUEUE_ALGORITHM_MODIFIER) == 0,
        queue_error_management=QueueErrorManagement(value(_QERR)),
        unit_attention_interlock=UnitAttentionInterlock(value(_UA_INTLCK_CTRL)),
        task_management_only=bool(value(_TMF_ONLY)),
    )


def _thresholds(page: int) -> Thresholds:
    def value(field: ModeField) -> int:
        return field.value(page, _PROVISIONING_LENGTH)

    return Thresholds(
        enabled=tuple(
            Threshold(resource=descriptor.resource, count=value(descriptor.count), place=descriptor.place)
            for descriptor in _THRESHOLD_DESCRIPTORS
            if value(descriptor.enabled)
        ),
        single_initiator=bool(value(_SITUA)),
    )


@lru_cache(maxsize=64)
def _power_timers(page: int) -> Mapping[PowerCondition, float]:
    def value(field: ModeField) -> int:
        return field.value(page, _POWER_CONDITION_LENGTH)

    return {each.condition: value(each.timer) * _TIMER_UNIT for each in _POWER_TIMERS if value(each.enabled)}


def _without(page: ModePage, field: ModeField) -> ModePage:
    """`page` with `field` 0 and not changeable."""
    return replace(page, fields=tuple(other for other in page.fields if other is not field))


_WITH_CACHE: Final = {page.key: page for page in PAGES}
_WITHOUT_CACHE: Final = {page.key: _without(page, _WCE) for page in PAGES}
"""The pages of a unit whose storage has no volatile cache."""
