"""Which initiators see which LUNs: a target's own LUNs are for all who are in none of its groups, as SCST has it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from isthmus.config.model import MAX_LUN, BackstoreKey, InitiatorGroup, Lun, MappedLun
from isthmus.config.settings import Value

__all__ = ["EVERYBODY", "Access", "GroupMembers", "LunOf", "access"]

EVERYBODY: Final = "*"


@dataclass(frozen=True, slots=True)
class LunOf:
    """A LUN as SCST says it, for the whole target or for a group."""

    number: int
    backstore: BackstoreKey
    read_only: bool
    alua_group: str = ""


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """A group as SCST says it."""

    name: str
    patterns: tuple[str, ...]
    luns: tuple[LunOf, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """The same as a portal group says it."""

    luns: tuple[Lun, ...]
    groups: tuple[InitiatorGroup, ...]
    attributes: dict[str, Value]


def access(
    target_luns: Sequence[LunOf],
    groups: Iterable[GroupMembers],
    known: Mapping[BackstoreKey, int] = MappingProxyType({}),
) -> Access:
    """The LUNs of the portal group, its initiator groups, and who else is let in.

    Groups number their LUNs by themselves, so one that the target's own LUNs lack gets a free number among these.
    Initiators in no group are let in by demo mode if that shows them just what it should, and else by a group for all. If
    they are to see nothing they do not hear of the target, either. `known` are the numbers that LUNs have already: they
    keep them if they can.
    """
    numbers = _Numbers(target_luns, known)
    made = [_group(group.name, group.patterns, group.luns, numbers) for group in groups]
    protections = {lun.read_only for lun in target_luns}
    if not target_luns:
        return Access(numbers.luns(), tuple(made), {"demo_mode_discovery": 0})
    if len(numbers) == len(target_luns) and len(protections) == 1:
        attributes: dict[str, Value] = {"generate_node_acls": 1, "demo_mode_write_protect": int(protections.pop())}
        return Access(numbers.luns(), tuple(made), attributes)
    rest = _group(_free_name({group.name for group in made}), (EVERYBODY,), target_luns, numbers)
    return Access(numbers.luns(), (*made, rest), {})


class _Numbers:
    """The LUNs of the portal group, as they come to be."""

    def __init__(self, luns: Iterable[LunOf], known: Mapping[BackstoreKey, int]) -> None:
        self._known = known
        self._luns = {lun.number: lun for lun in luns}

    def __len__(self) -> int:
        return len(self._luns)

    def of(self, wanted: LunOf) -> int:
        """The number under which the portal group has that backstore."""
        same = [number for number, lun in self._luns.items() if lun.backstore == wanted.backstore]
        if same:
            return wanted.number if wanted.number in same else same[0]
        number = self._known.get(wanted.backstore, wanted.number)
        if number in self._luns:
            number = next(free for free in range(MAX_LUN + 1) if free not in self._luns)
        self._luns[number] = dataclasses.replace(wanted, number=number)
        return number

    def luns(self) -> tuple[Lun, ...]:
        """All of them."""
        return tuple(
            Lun(number=number, backstore=lun.backstore, alua_group=lun.alua_group)
            if lun.alua_group
            else Lun(number=number, backstore=lun.backstore)
            for number, lun in self._luns.items()
        )


def _group(name: str, patterns: tuple[str, ...], luns: Iterable[LunOf], numbers: _Numbers) -> InitiatorGroup:
    mapped = tuple(MappedLun(number=lun.number, tpg_lun=numbers.of(lun), write_protect=lun.read_only) for lun in luns)
    return InitiatorGroup(name=name, initiators=patterns, mapped_luns=mapped)


def _free_name(taken: set[str]) -> str:
    name = "default"
    while name in taken:
        name += "_"
    return name
