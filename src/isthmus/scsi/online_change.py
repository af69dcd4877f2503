"""What an operator changes while initiators are connected, and how they hear of it (SPC-5 §5.17, SAM-5 §5.14).

A changed size is CAPACITY DATA HAS CHANGED, other names INQUIRY DATA HAS CHANGED, other write protection MODE
PARAMETERS CHANGED. A LUN that comes or goes is REPORTED LUNS DATA HAS CHANGED, to be heard at any other LUN of the same
nexus, and an event for the transport: an initiator that sends nothing would not hear of a disk that is new.

A LUN that goes takes its tasks with it. They end with the sense that every later command gets there, LOGICAL UNIT NOT
SUPPORTED; one whose block operation is under way ends when that does.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation, ExchangeMedium, FollowSize, Resize
from isthmus.errors import ConfigurationError
from isthmus.scsi.background import BackgroundRun, BackgroundSteps
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.lun import decode_lun, encode_lun
from isthmus.scsi.mmc.media_events import MediaEvent
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "OnResized",
    "change_identity",
    "change_medium",
    "change_write_protection",
    "exchange_medium",
    "follow_size",
    "map_lun",
    "resize",
    "unmap_lun",
]

OnResized = Callable[[Exception | None], None]
"""Called once the unit has its new size, or has kept the old one because of an error."""

_NOT_SUPPORTED: Final = Response(
    status=Status.CHECK_CONDITION, sense=SenseData(sense=Sense.LOGICAL_UNIT_NOT_SUPPORTED).to_bytes()
)


def resize(unit: "LogicalUnit", size: int, executor: BlockExecutor, done: OnResized = lambda _: None) -> None:
    """Make the storage of `unit` `size` bytes long; shrinking loses what was beyond. Raises `ConfigurationError`.

    It waits until nothing else is done with the unit, and nothing else begins before it is over.
    """
    if size <= 0 or size % unit.block_length:
        raise ConfigurationError(
            f"{size} bytes are not a whole number of {unit.block_length}-byte blocks", "choose a multiple, above 0"
        )
    _change_size(unit, Resize(size), executor, done)


def follow_size(unit: "LogicalUnit", executor: BlockExecutor, done: OnResized = lambda _: None) -> None:
    """Take over the size that somebody else has given to the storage of `unit`, in whole blocks."""
    _change_size(unit, FollowSize(unit.block_length), executor, done)


def _change_size(unit: "LogicalUnit", operation: BlockOperation, executor: BlockExecutor, done: OnResized) -> None:
    before = unit.num_blocks

    def over(_: object, error: Exception | None) -> None:
        if unit.num_blocks != before:
            unit.capacity_changed()
        done(error)

    BackgroundRun(unit, executor, _only(operation), over).start()


def _only(operation: BlockOperation) -> BackgroundSteps:
    return (yield operation)


def change_identity(unit: "LogicalUnit", identity: UnitIdentity) -> None:
    """Give `unit` other names."""
    if identity != unit.identity:
        unit.identity = identity
        unit.unit_attentions.establish_for_all(Sense.INQUIRY_DATA_HAS_CHANGED)


def change_medium(unit: "LogicalUnit", *, present: bool) -> None:
    """Take the medium of `unit` out, or put one in; raises `ConfigurationError` if an initiator has locked it in.

    What is under way ends as it would have. Whoever has not seen the change hears that it may be another medium.
    """
    if not present and unit.prevent_removal:
        unit.media_events.tell(unit.nexuses, MediaEvent.EJECT_REQUEST)
        names = ", ".join(sorted({nexus.initiator_name for nexus in unit.prevent_removal}))
        raise ConfigurationError(f"{names} prevents the removal of the medium", "unmount it there first")
    _put_medium(unit, present=present)


def _put_medium(unit: "LogicalUnit", *, present: bool) -> None:
    present = present and (unit.num_blocks > 0 or not unit.device_type.is_drive)
    unit.move_medium(present=present)
    if present:
        unit.unit_attentions.establish_for_all(Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED)


def exchange_medium(
    unit: "LogicalUnit",
    medium: Backstore | None,
    executor: BlockExecutor,
    done: Callable[[Backstore | None], None],
    *,
    present: bool = True,
) -> None:
    """Put `medium` into the tray of a drive, or nothing; `done` gets what was in there, with which nothing is done any more.

    The tray is closed then, and unless it is not to be `present`, initiators find the medium. Raises
    `ConfigurationError` if one of them has locked in what is there.
    """
    change_medium(unit, present=False)

    def over(before: Backstore | None, _error: Exception | None) -> None:
        _put_medium(unit, present=present)
        done(before)

    BackgroundRun(unit, executor, _only(ExchangeMedium(medium)), over).start()


def change_write_protection(unit: "LogicalUnit", *, read_only: bool) -> None:
    """Protect `unit` from writes, or allow them as far as its backstore does."""
    protected = read_only or unit.backstore.read_only
    if protected != unit.read_only:
        unit.read_only = protected
        unit.unit_attentions.establish_for_all(Sense.MODE_PARAMETERS_CHANGED)


def map_lun(nexus: Nexus, lun: int, mapping: LunMapping) -> None:
    """Let `nexus` reach a unit at `lun`, where there is none, or the same one with other rights."""
    unit = mapping.logical_unit
    known = unit in nexus.logical_units
    present = nexus.mappings.get(lun)
    if present is not None and present.logical_unit is not unit:
        raise ConfigurationError(f"LUN {lun} is taken by another unit", "unmap it first")
    if present == mapping:
        return
    nexus.mappings[lun] = mapping
    if not known:
        unit.attach(nexus)
    else:
        unit.grants.change(nexus, lun, mapping, unit)
    if present is None:
        _luns_changed(nexus, new=None if known else unit)
    else:
        unit.unit_attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    unit.refresh_grants()


def unmap_lun(nexus: Nexus, lun: int, done: Callable[[], None]) -> None:
    """Take `lun` away from `nexus`. `done`: nothing that came through it touches the medium any more."""
    mapping = nexus.mappings.pop(lun, None)
    if mapping is None:
        done()
        return
    unit = mapping.logical_unit
    tasks = [task for task in unit.task_set if task.nexus is nexus and decode_lun(task.lun) == lun]
    unit.visits.isolate({nexus})
    with unit.range_lock.paused():
        unit.task_set.abort(tasks, lambda _: _NOT_SUPPORTED)
    if unit in nexus.logical_units:
        unit.grants.change(nexus, lun, None, unit)
    else:
        unit.part_from(nexus)
    nexus.grants.pop(encode_lun(lun), None)
    _luns_changed(nexus, new=None)
    unit.task_set.when_ended(tasks, lambda: unit.grants.when_idle(done, {nexus}))


def _luns_changed(nexus: Nexus, *, new: "LogicalUnit | None") -> None:
    """Tell `nexus` at every unit but a `new` one, at which it hears of a power on, and by an event."""
    sense = Sense.REPORTED_LUNS_DATA_HAS_CHANGED
    for unit in nexus.logical_units:
        if unit is not new:
            unit.unit_attentions.establish(nexus, sense)
    nexus.on_event(encode_lun(min(nexus.mappings, default=0)), SenseData(sense=sense))
