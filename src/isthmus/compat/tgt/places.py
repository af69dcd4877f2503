"""Where tgt's numbers lead: a target by its tid, what it stands for in the model, and what edits may ask of the machine."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.compat.importer import path_kind
from isthmus.compat.tgt.errors import Refused, Status
from isthmus.config.model import BackstoreKey, Configuration, Portal, PortalGroup, Target
from isthmus.config.settings import Value
from isthmus.names import IscsiName

__all__ = [
    "TID",
    "Debug",
    "Surroundings",
    "TidTable",
    "group_of",
    "target_by_tid",
    "with_group",
    "with_options",
    "with_target",
]

TID: Final = "tgt_tid"
"""The option of a target that keeps its tid."""


class TidTable:
    """The tids of all targets. One that was not made by tgtadm gets the lowest that is free, and keeps it."""

    def __init__(self) -> None:
        """Nobody has one yet."""
        self._given: dict[IscsiName, int] = {}

    def tids(self, configuration: Configuration) -> dict[int, IscsiName]:
        """From each tid to its target, in the order of the tids."""
        found: dict[int, IscsiName] = {}
        others = []
        for name, target in sorted(configuration.targets.items()):
            tid = target.options.get(TID)
            if isinstance(tid, int) and tid > 0 and tid not in found:
                found[tid] = name
            else:
                others.append(name)
        for name in others:
            tid = self._given.get(name, 0)
            if not tid or tid in found:
                tid = next(
                    number for number in range(1, len(configuration.targets) + 2) if self._is_free(number, found)
                )
            found[tid] = self._remember(name, tid)
        self._given = {name: tid for name, tid in self._given.items() if name in configuration.targets}
        return dict(sorted(found.items()))

    def _is_free(self, tid: int, found: Mapping[int, IscsiName]) -> bool:
        return tid not in found and tid not in self._given.values()

    def _remember(self, name: IscsiName, tid: int) -> IscsiName:
        self._given[name] = tid
        return name


@dataclass(slots=True)
class Debug:
    """tgtd's debug switch: remembered, and shown."""

    on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an edit may depend on beside the configuration."""

    new_serial: Callable[[BackstoreKey], str]
    """The serial number of a backstore that is not there yet: unique among all machines."""
    tids: TidTable = field(default_factory=TidTable)
    default_portals: tuple[Portal, ...] = (Portal("::"),)
    """Those of targets that name none."""
    kind_of: Callable[[str], str] = path_kind
    debug: Debug = field(default_factory=Debug)
    has_tgts_names: Callable[[str], bool] = lambda _: False
    """Whether a new disk is to be known by the NAA designator that tgt would give it: it is on every machine the same."""


def target_by_tid(configuration: Configuration, tid: int, tids: TidTable) -> Target:
    """The target; raises `Refused`."""
    name = tids.tids(configuration).get(tid)
    if name is None:
        raise Refused(Status.NO_TARGET)
    return configuration.targets[name]


def group_of(target: Target) -> PortalGroup:
    """What tgt sees of a target: its first portal group; raises `Refused` if it has none."""
    if not target.portal_groups:
        raise Refused(Status.INVALID_REQUEST, f"{target.name} has no portal group")
    return target.portal_groups[0]


def with_target(configuration: Configuration, target: Target) -> Configuration:
    """With this target in the place of the one of its name, if there is one."""
    return dataclasses.replace(configuration, targets={**configuration.targets, target.name: target})


def with_group(configuration: Configuration, target: Target, group: PortalGroup) -> Configuration:
    """With this portal group as the first of `target`."""
    groups = (group, *target.portal_groups[1:])
    return with_target(configuration, dataclasses.replace(target, portal_groups=groups))


def with_options(options: Mapping[str, Value], changes: Mapping[str, Value | None]) -> dict[str, Value]:
    """`options` with some changed; None takes one away."""
    return {name: value for name, value in {**options, **changes}.items() if value is not None}
