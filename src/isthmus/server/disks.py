"""The backstores of the configuration as they run: storage that is open, and the logical unit over it."""

import asyncio
import contextlib
import dataclasses
import enum
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from isthmus import events
from isthmus.backstores.base import Backstore as Storage
from isthmus.backstores.base import Capabilities
from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.backstores.tray import Tray
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi import online_change
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.cdb_options import has_dpo_and_fua
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.pass_through import PASS_THROUGH
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.reservation_record import forget_damaged_reservations
from isthmus.scsi.state_store import UnitStateStore
from isthmus.server.access_groups import apply_groups, restore_state
from isthmus.server.blocking import Slices, in_thread
from isthmus.server.media_keys import keyed
from isthmus.server.resuming import resume
from isthmus.server.unit_settings import (
    apply_shape,
    attribute,
    block_length_of,
    capabilities_of,
    device_type_of,
    identity_of,
    limits_of,
    mode_defaults_of,
    rate_limits_of,
    table_of,
)

__all__ = ["CLOSE_SECONDS", "OPEN_SECONDS", "Disk", "Disks", "LostReservations"]

OPEN_SECONDS: Final = 20.0
"""That opening one backstore may take: storage that is gone may never answer."""
CLOSE_SECONDS: Final = 10.0
"""That letting go of one may take, until what it still does counts as left to itself."""
RESIZE_SECONDS: Final = 20.0
EXCHANGE_SECONDS: Final = 20.0
_LOT: Final = 32

T = TypeVar("T")

_COPY_SERVICES: Final = CopyServices(randomness=secrets.token_bytes, clock=time.monotonic)


class LostReservations(enum.StrEnum):
    """What to do where the record of a disk's persistent reservations is damaged: nobody knows who may write."""

    REFUSE = "refuse"
    """The disk does not run."""
    REPLACE = "replace"
    """It runs, and serves nobody before an initiator has replaced them (SPC-5 §5.14.11.3)."""
    FORGET = "forget"
    """Nothing is registered and reserved any more: initiators that thought so find out."""


@dataclass(slots=True)
class Disk:
    """One backstore."""

    settings: Backstore
    unit: LogicalUnit | None
    """None: it does not run."""
    problem: str = ""
    """Why it does not."""
    table: CommandTable = DISK_COMMANDS
    """The commands that the unit could know, if no attribute took some away."""
    possible: Capabilities = field(default_factory=Capabilities)
    """What the storage can do, if no attribute took some away."""

    def apply_attributes(self) -> None:
        """Have the unit do what its attributes say now."""
        unit, settings = self.unit, self.settings
        if unit is None:
            return
        unit.task_set.limit = attribute(settings, "queue_depth") or None
        unit.reservations.by_initiator = not attribute(settings, "enforce_pr_isids")
        unit.reservations.always_preserved = bool(attribute(settings, "force_pr_aptpl"))
        if unit.backstore.pass_through:
            # The device says all else of itself.
            protected = settings.read_only or bool(attribute(settings, "write_protect"))
            online_change.change_write_protection(unit, read_only=protected)
            return
        unit.backstore.capabilities = capabilities_of(settings, self.possible)
        had_both = has_dpo_and_fua(unit.table)
        unit.table = table_of(settings, self.table, unit.backstore.capabilities)
        unit.limits = limits_of(settings, unit.backstore)
        apply_shape(settings, unit)
        unit.limit(rate_limits_of(settings), time.monotonic)
        unit.offer_copies(_COPY_SERVICES if attribute(settings, "emulate_3pc") else None)
        if self._apply_mode_defaults(unit) or has_dpo_and_fua(unit.table) != had_both:
            unit.unit_attentions.establish_for_all(Sense.MODE_PARAMETERS_CHANGED)

    def _apply_mode_defaults(self, unit: LogicalUnit) -> bool:
        """Whether a mode parameter has changed."""
        cached = bool(attribute(self.settings, "emulate_write_cache")) and not unit.device_type.is_drive
        changed = unit.mode.offer_write_cache(unit.backstore.write_back or cached)
        return unit.mode.set_defaults(mode_defaults_of(self.settings)) or changed

    @property
    def reported(self) -> tuple[object, ...]:
        """What INQUIRY and its pages tell of the attributes."""
        unit = self.unit
        assert unit is not None
        shape = unit.physical_block_length, unit.lowest_aligned_lba, unit.rotation_rate, unit.removable
        return unit.limits, unit.backstore.capabilities, unit.mode.has_write_cache, tuple(unit.table), shape

    def withdraw(self) -> None:
        """Undo that it was opened: a file that was made for it goes."""
        if self.unit is not None:
            self.unit.backstore.withdraw()


class Disks:
    """All of them, by key."""

    def __init__(self, state: UnitStateStore, executor: BlockExecutor) -> None:
        """`state` keeps what units remember."""
        self._state = state
        self._executor = executor
        self._disks: dict[BackstoreKey, Disk] = {}
        self._parted: dict[BackstoreKey, Disk] = {}
        """Deleted, but in memory, so that nothing but this has what was in them."""
        self.units: dict[LogicalUnit, None] = {}
        """Those that run, for whoever watches over them."""
        self._prepared: dict[BackstoreKey, Disk] = {}

    def __iter__(self) -> Iterator[Disk]:
        return iter(list(self._disks.values()))

    def __getitem__(self, key: BackstoreKey) -> Disk:
        return self._disks[key]

    def unit(self, key: BackstoreKey) -> LogicalUnit | None:
        """The running unit of a backstore."""
        disk = self._disks.get(key)
        return None if disk is None else disk.unit

    # -- Come ----------------------------------------------------------------------------------------------------------

    async def prepare(self, wanted: Iterable[Backstore]) -> None:
        """Open storage, and make what is missing, before anything else is changed; raises `ConfigurationError`.

        Then none of it is open.
        """
        try:
            for some in _in_lots(list(wanted)):
                self._prepared.update((disk.settings.key, disk) for disk in await self._open(some, create=True))
        except BaseException:
            await self.discard_prepared()
            raise

    async def discard_prepared(self) -> None:
        """Close what was prepared and not taken; files made for it go."""
        prepared, self._prepared = self._prepared, {}
        for some in _in_lots(list(prepared.values())):
            await in_thread(partial(_withdraw, some), timeout=CLOSE_SECONDS)

    async def create(self, settings: Backstore) -> None:
        """Run a backstore, as it was prepared or else opened now; raises `ConfigurationError`."""
        disk = self._prepared.pop(settings.key, None)
        if settings.key in self._parted and self._parted[settings.key].settings == settings:
            disk = self._parted.pop(settings.key)
        self._add(disk or (await self._open([settings], create=True))[0])

    async def load(self, wanted: list[Backstore]) -> None:
        """Run backstores that were there before: nothing is made, and one that cannot be opened does not stop the others."""
        seconds = OPEN_SECONDS + 0.01 * len(wanted)
        try:
            opened = await in_thread(lambda: [self._open_or_say(settings) for settings in wanted], timeout=seconds)
        except TimeoutError:
            # Something does not answer: find out what.
            opened = [await self._open_alone(settings) for settings in wanted]
        for disk in opened:
            self._add(disk)
            if disk.problem:
                events.emit(events.BACKSTORE_MISSING, backstore=str(disk.settings.key), reason=disk.problem)

    async def start(self, key: BackstoreKey, lost: LostReservations) -> None:
        """Run a backstore that could not be run when it was loaded; raises `ConfigurationError` if it still cannot be."""
        disk = self._disks.get(key)
        if disk is None:
            raise ConfigurationError(f"there is no {key}", "list the backstores")
        if disk.unit is not None:
            raise ConfigurationError(f"{key} runs already", "there is nothing to do")
        try:
            self._add((await self._open([disk.settings], create=False, lost=lost))[0])
        except ConfigurationError as error:
            disk.problem = str(error)
            raise

    def _add(self, disk: Disk) -> None:
        self._disks[disk.settings.key] = disk
        if disk.unit is not None:
            self.units[disk.unit] = None
            resume(disk.unit, self._executor)

    async def _open_alone(self, settings: Backstore) -> Disk:
        try:
            return (await self._open([settings], create=False))[0]
        except ConfigurationError as error:
            return Disk(settings, None, str(error))

    def _open_or_say(self, settings: Backstore) -> Disk:
        try:
            return self._make(settings, create=False)
        except (ConfigurationError, BackstoreError) as error:
            return Disk(settings, None, str(error))

    async def _open(
        self, wanted: list[Backstore], *, create: bool, lost: LostReservations = LostReservations.REFUSE
    ) -> list[Disk]:
        """All of them, or none."""
        begun = wanted[:1]  # also if the thread has not come to it

        def open_all() -> list[Disk]:
            opened: list[Disk] = []
            try:
                for settings in wanted:
                    begun.append(settings)
                    opened.append(self._make(settings, create=create, lost=lost))
            except BaseException:
                _withdraw(opened)
                raise
            return opened

        try:
            return await in_thread(open_all, timeout=OPEN_SECONDS, too_late=_withdraw)
        except TimeoutError:
            raise ConfigurationError(
                f"{begun[-1].key} did not open within {OPEN_SECONDS:.0f} s", "see whether its storage answers"
            ) from None
        except BackstoreError as error:
            raise ConfigurationError(f"{begun[-1].key}: {error}") from error

    def _make(self, settings: Backstore, *, create: bool, lost: LostReservations = LostReservations.REFUSE) -> Disk:
        """Runs on a thread: nobody else knows of the unit yet."""
        storage = _open_storage(settings, create=create)
        try:
            block_length = block_length_of(settings)
            if storage.size % block_length and not (storage.pass_through or settings.is_drive):
                raise ConfigurationError(
                    f"{settings.key}: {storage.size} bytes are not a whole number of {block_length}-byte blocks",
                    f"make them {storage.size + -storage.size % block_length}",
                )
            if lost is LostReservations.FORGET:
                forget_damaged_reservations(self._state, settings.unit_serial)
            encrypt = bool(settings.attribute("encrypt"))
            if encrypt and storage.pass_through:
                raise ConfigurationError(
                    f"{settings.key} cannot be encrypted", "what goes to the device, goes as it is"
                )
            storage = keyed(storage, self._state, settings.unit_serial, encrypt=encrypt)
            unit = LogicalUnit(
                storage,
                device_type=device_type_of(settings),
                table=PASS_THROUGH if storage.pass_through else None,
                block_length=block_length,
                read_only=settings.read_only,
                identity=identity_of(settings),
                limits=limits_of(settings, storage),
                state=self._state,
                accept_lost_reservations=lost is LostReservations.REPLACE,
                clock=_milliseconds,
                third_party_copy=None if storage.pass_through else _COPY_SERVICES,
                call_later=_call_later,
            )
            apply_groups(unit, settings)
            unit.medium_present &= bool(attribute(settings, "medium_present"))
            disk = Disk(settings, unit, table=unit.table, possible=storage.capabilities)
            disk.apply_attributes()
        except BaseException:
            storage.withdraw()
            raise
        return disk

    # -- Change --------------------------------------------------------------------------------------------------------

    def set_attributes(self, settings: Backstore) -> None:
        """Other attributes (`settings` has no others that differ): initiators hear of what they know otherwise."""
        disk = self._disks[settings.key]
        present = settings.attribute("medium_present")
        if disk.unit is not None and present != disk.settings.attribute("medium_present"):
            online_change.change_medium(disk.unit, present=bool(present))
        disk.settings = settings
        if disk.unit is not None:
            before = disk.reported
            disk.apply_attributes()
            if before != disk.reported:
                disk.unit.unit_attentions.establish_for_all(Sense.INQUIRY_DATA_HAS_CHANGED)
            disk.unit.refresh_grants()
            online_change.change_identity(disk.unit, identity_of(settings))

    def set_alua_groups(self, settings: Backstore) -> None:
        """Other target port groups (`settings` has nothing else that differs); raises `ConfigurationError`."""
        disk = self._disks[settings.key]
        if disk.unit is not None:
            apply_groups(disk.unit, settings, disk.settings)
        disk.settings = settings

    def restore_alua_state(self, group: AluaGroup, key: BackstoreKey) -> None:
        """Bring a target port group back to its configured state; raises `ConfigurationError`."""
        unit = self.unit(key)
        if unit is not None:  # else it begins with that
            restore_state(unit, group)

    def set_settings(self, settings: Backstore) -> None:
        """What the running unit does not depend on."""
        self._disks[settings.key].settings = settings

    async def exchange_medium(self, settings: Backstore) -> None:
        """Another medium in a drive (`settings` has another path, and nothing else that differs), or none.

        Raises `ConfigurationError`, and what was in the drive stays there.
        """
        disk = self._disks[settings.key]
        if disk.unit is not None:
            medium = await self._open_medium(settings)
            try:
                before = await self._exchange(disk.unit, medium, present=bool(attribute(settings, "medium_present")))
            except ConfigurationError:
                await _let_go(medium)
                raise
            except TimeoutError:
                raise ConfigurationError(
                    f"what is in {settings.key} is still read after {EXCHANGE_SECONDS:.0f} s",
                    "the medium is changed when its storage answers",
                ) from None
            await _let_go(before)
        disk.settings = settings

    async def _open_medium(self, settings: Backstore) -> Storage | None:
        try:
            return await in_thread(lambda: _medium(settings), timeout=OPEN_SECONDS, too_late=_close_medium)
        except TimeoutError:
            raise ConfigurationError(
                f"{settings.path} did not open within {OPEN_SECONDS:.0f} s", "see whether its storage answers"
            ) from None
        except BackstoreError as error:
            raise ConfigurationError(f"{settings.key}: {error}") from error

    async def _exchange(self, unit: LogicalUnit, medium: Storage | None, *, present: bool) -> Storage | None:
        """Gives what was in the drive. It waits for reads that are under way; nobody else finds a medium meanwhile."""
        over: asyncio.Future[Storage | None] = asyncio.get_running_loop().create_future()
        online_change.exchange_medium(unit, medium, self._executor, over.set_result, present=present)
        done, _ = await asyncio.wait((over,), timeout=EXCHANGE_SECONDS)
        if not done:
            over.add_done_callback(_close_what_was_in_there)
            raise TimeoutError
        return over.result()

    async def resize(self, settings: Backstore) -> None:
        """Another size, while the disk is in use; raises `ConfigurationError`, and it keeps its size."""
        disk = self._disks[settings.key]
        if disk.unit is not None and settings.size is not None and settings.size != disk.unit.backstore.size:
            await self._resize(disk.unit, settings.size)
        disk.settings = settings

    async def _resize(self, unit: LogicalUnit, size: int) -> None:
        over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not over.done():
                over.set_result(error)

        online_change.resize(unit, size, self._executor, done)
        try:
            async with asyncio.timeout(RESIZE_SECONDS):
                error = await over
        except TimeoutError:
            raise ConfigurationError(
                f"the size did not change within {RESIZE_SECONDS:.0f} s", "it may yet, when its storage answers"
            ) from None
        if error is not None:
            raise ConfigurationError(f"the size cannot change: {error}") from error

    # -- Go ------------------------------------------------------------------------------------------------------------

    async def delete(self, key: BackstoreKey) -> str:
        """Let go of the storage; gives a warning if that is not over in time, or not everything could be kept.

        Memory is let go of by `forget`: until then the disk comes back as it was, should the change be taken back.
        """
        disk = self._disks.pop(key)
        if disk.unit is None:
            return ""
        if disk.unit.backstore.volatile:
            self._parted[key] = disk
            del self.units[disk.unit]
            return ""
        return await self._close(disk.unit, str(key))

    async def forget(self) -> list[str]:
        """What was deleted does not come back; gives the warnings."""
        parted, self._parted = self._parted, {}
        slices = Slices()
        quiet: list[LogicalUnit] = []
        busy: list[tuple[BackstoreKey, LogicalUnit]] = []
        while parted:
            key, disk = parted.popitem()
            assert disk.unit is not None
            if any(disk.unit.task_set) or disk.unit.grants.any_in_flight:
                busy.append((key, disk.unit))
            else:
                quiet.append(disk.unit)
            del disk
            await slices.pause()
        while quiet:
            some, quiet[:] = quiet[:_LOT], quiet[_LOT:]
            await in_thread(partial(_close_memory, some), timeout=CLOSE_SECONDS)
        self.units |= dict.fromkeys(unit for _, unit in busy)
        warnings = [await self._close(unit, str(key)) for key, unit in busy]
        return [warning for warning in warnings if warning]

    async def close(self) -> list[str]:
        """Let go of all storage; gives the warnings."""
        disks, self._disks = self._disks, {}
        warnings = [await self._close(disk.unit, str(key)) for key, disk in disks.items() if disk.unit is not None]
        return [warning for warning in warnings if warning]

    async def _close(self, unit: LogicalUnit, name: str) -> str:
        del self.units[unit]
        unit.stop_background()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await _idle(unit)
            await in_thread(unit.backstore.close, timeout=CLOSE_SECONDS)
        except TimeoutError:
            return f"{name} is still busy with what its storage does not answer: its storage stays open"
        except BackstoreError as error:
            return f"{name}: not everything could be made durable: {error}"
        return ""


def _in_lots(things: list[T]) -> Iterator[list[T]]:
    """What is done by one call of a thread: more calls would take longer, fewer would take too long to be bounded."""
    for start in range(0, len(things), _LOT):
        yield things[start : start + _LOT]


def _close_memory(units: Iterable[LogicalUnit]) -> None:
    for unit in units:
        unit.stop_background()
        unit.backstore.close()


def _withdraw(disks: Iterable[Disk]) -> None:
    for disk in disks:
        disk.withdraw()


async def _idle(unit: LogicalUnit) -> None:
    """Wait until nothing touches the storage of a unit that nobody sees any more."""
    idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done() -> None:
        if not idle.done():
            idle.set_result(None)

    tasks = list(unit.task_set)
    unit.task_set.when_ended(tasks, lambda: unit.grants.when_idle(done))
    await idle


def _open_storage(settings: Backstore, *, create: bool) -> Storage:
    if settings.is_drive:
        return Tray(str(settings.key), _medium(settings))
    return open_backstore(_spec(settings, create=create))


def _medium(settings: Backstore) -> Storage | None:
    """What is in a drive: nobody writes to it, so that it may be in others, too."""
    spec = dataclasses.replace(_spec(settings, create=False), read_only=True)
    return open_backstore(spec) if settings.path else None


def _close_medium(medium: Storage | None) -> None:
    if medium is not None:
        medium.close()


def _close_what_was_in_there(exchanged: asyncio.Future[Storage | None]) -> None:
    """Off the loop: storage that has taken so long may take long again."""
    closing = asyncio.get_running_loop().run_in_executor(None, _close_medium, exchanged.result())
    closing.add_done_callback(lambda closed: closed.exception())


async def _let_go(medium: Storage | None) -> None:
    """Of one that was only read from there is nothing to be lost."""
    with contextlib.suppress(TimeoutError, BackstoreError):
        await in_thread(partial(_close_medium, medium), timeout=CLOSE_SECONDS)


def _spec(settings: Backstore, *, create: bool) -> BackstoreSpec:
    """What is there is taken with the size that it has, but for what is made now."""
    in_memory = settings.key.kind == "ramdisk"
    is_null = in_memory and str(settings.options.get("nullio", 0)).lower() in {"1", "true", "yes"}
    return BackstoreSpec(
        kind="null" if is_null else settings.key.kind,
        path=settings.path or str(settings.key),
        size=settings.size if create or in_memory else None,
        create=create,
        read_only=settings.read_only,
        write_back=settings.write_back,
        block_length=block_length_of(settings),
        options={name: str(value) for name, value in settings.options.items()},
    )


def _call_later(seconds: float, callback: Callable[[], None]) -> None:
    """Units are made on a thread, and ask for the timer of the main loop when they run there."""
    asyncio.get_running_loop().call_later(seconds, callback)


def _milliseconds() -> int:
    """Since 1970-01-01 00:00 UTC."""
    return time.time_ns() // 1_000_000
