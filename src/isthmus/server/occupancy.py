"""Who would lose something by a plan: sessions that would end, and initiators that use a disk that would go.

A disk counts as used by an initiator that has commands at it, has told it to keep its medium, holds a reservation, or
reads or writes while it is watched for a moment. One that merely sees the disk does not use it.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from isthmus.config.acl_changes import RemoveAcl, RemoveMappedLun
from isthmus.config.changes import Change, DeleteTarget, ResizeBackstore
from isthmus.config.group_changes import DeletePortalGroup, RemoveLun, SetInitiatorGroups
from isthmus.scsi.lun import decode_lun, encode_lun
from isthmus.scsi.nexus import Nexus
from isthmus.server.blocking import Slices
from isthmus.server.disks import Disks
from isthmus.server.reconcile import Reconciler, RunningGroup

__all__ = ["WATCH_SECONDS", "Occupied", "occupied"]

WATCH_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Occupied:
    """A step that would take something from somebody."""

    change: Change
    holders: tuple[str, ...]
    """The names of the initiators."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A LUN of a nexus that would go."""

    change: Change
    nexus: Nexus
    lun: int

    @property
    def commands(self) -> int:
        """Reads and writes that the engine has served there."""
        grant = self.nexus.grants.get(encode_lun(self.lun))
        return 0 if grant is None else grant.read_commands + grant.write_commands

    @property
    def is_held(self) -> bool:
        """Whether something shows at once that the disk is used there."""
        mapping = self.nexus.mappings.get(self.lun)
        if mapping is None:
            return False
        unit, nexus = mapping.logical_unit, self.nexus
        grant = nexus.grants.get(encode_lun(self.lun))
        return (
            (grant is not None and grant.in_flight > 0)
            or nexus in unit.prevent_removal
            or unit.reservations.is_held_by(nexus)
            or any(task.nexus is nexus and decode_lun(task.lun) == self.lun for task in unit.task_set)
        )


async def occupied(changes: Iterable[Change], reconciler: Reconciler, disks: Disks) -> list[Occupied]:
    """What of `changes` takes something from somebody; looks on for `WATCH_SECONDS` if it has to."""
    changes = tuple(changes)
    found: list[Occupied] = []
    places: list[_Place] = []
    slices = Slices()
    for change in changes:
        if names := _losing(change, reconciler, disks):
            found.append(Occupied(change, names))
        places += _places(change, reconciler)
        await slices.pause()
    before = [place.commands for place in places]
    held = [place.is_held for place in places]
    if places and not all(held):
        await asyncio.sleep(WATCH_SECONDS)
    for place, commands, is_held in zip(places, before, held, strict=True):
        if is_held or place.commands != commands:
            found.append(Occupied(place.change, (place.nexus.initiator_name,)))
    return found


def _losing(change: Change, reconciler: Reconciler, disks: Disks) -> tuple[str, ...]:
    """The initiators whose sessions end, or whose disk shrinks under them."""
    if isinstance(change, ResizeBackstore):
        unit = disks.unit(change.key)
        shrinks = unit is not None and change.size is not None and change.size < unit.backstore.size
        return tuple(sorted({nexus.initiator_name for nexus in unit.nexuses})) if unit is not None and shrinks else ()
    names = {
        session.initiator_name
        for running in _ending(change, reconciler)
        for session, _ in running.sessions()
        if not isinstance(change, RemoveAcl) or session.initiator_name == change.initiator
    }
    return tuple(sorted(names))


def _ending(change: Change, reconciler: Reconciler) -> Iterator[RunningGroup]:
    """The groups whose sessions end by `change`."""
    if isinstance(change, DeleteTarget):
        yield from reconciler.groups_of(change.name)
    elif isinstance(change, DeletePortalGroup | RemoveAcl):
        running = reconciler.groups.get((change.target, change.tag))
        if running is not None:
            yield running


def _places(change: Change, reconciler: Reconciler) -> Iterator[_Place]:
    if isinstance(change, SetInitiatorGroups):
        yield from _places_of_groups(change, reconciler)
    if not isinstance(change, RemoveLun | RemoveMappedLun):
        return
    running = reconciler.groups[change.target, change.tag]
    for session, nexus in running.sessions():
        if isinstance(change, RemoveMappedLun):
            if session.initiator_name == change.initiator:
                yield _Place(change, nexus, change.mapped.number)
        elif running.rules.is_dynamic(running.node.visitors[session]):
            yield _Place(change, nexus, change.lun.number)


def _places_of_groups(change: SetInitiatorGroups, reconciler: Reconciler) -> Iterator[_Place]:
    """LUNs that go from under initiators which may stay. Who may not is put out: that is what was asked for."""
    running = reconciler.groups.get((change.target, change.tag))
    if running is None:  # It comes with this plan.
        return
    known = {lun.number for lun in running.rules.settings.luns}
    groups = tuple(
        replace(group, mapped_luns=tuple(mapped for mapped in group.mapped_luns if mapped.tpg_lun in known))
        for group in change.groups
    )
    after = running.rules.with_settings(replace(running.rules.settings, initiator_groups=groups))
    for session, nexus in running.sessions():
        visitor = running.node.visitors[session]
        if after.refusal(visitor):
            continue
        wanted = after.mappings(visitor)
        for lun, mapping in nexus.mappings.items():
            if lun not in wanted or wanted[lun].logical_unit is not mapping.logical_unit:
                yield _Place(change, nexus, lun)
