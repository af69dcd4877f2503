"""Which units the suite is run against, and which cases on which of them.

The family ALL is run on every unit, as far as its cases can hold there. The other families name the same cases again,
and each of those runs on the first unit where it has to pass (memory is the quickest): so every case of the suite really
runs somewhere.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.conformance.cunit_output import Case
from tests.conformance.expectations import Ledger

__all__ = ["UNITS", "Medium", "Unit", "ledgers", "plan"]

_EVERYWHERE = "ALL"
# Less than the 2**21 blocks that a READ(6) can address, so that its cases at and beyond the end can run.
_CAPACITY_BYTES = 256 << 20


class Medium(enum.Enum):
    """Where the blocks lie."""

    FILE = "a sparse file"
    DEVICE = "a block device, over such a file"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A kind of unit: how it is served, and what it is to the ledger."""

    medium: Medium = Medium.FILE
    size: int = _CAPACITY_BYTES
    options: Sequence[str] = ()
    traits: Collection[str]
    only: Collection[str] | None = None
    """The cases that it is there for; None for all of them."""

    def ledger(self) -> Ledger:
        """What it does not let pass."""
        return Ledger.load(self.traits)


_USUAL = ("fixed", "writable", "small-blocks", "plain", "bounded-write-same", "long-cdbs", "any-atomic-write", "quick")


def _but(*missing: str, also: Collection[str] = ()) -> tuple[str, ...]:
    return (*(trait for trait in _USUAL if trait not in missing), *also)


UNITS = {
    "memory": Unit(medium=Medium.MEMORY, traits=_USUAL),
    "disk": Unit(traits=_USUAL),
    "removable": Unit(
        options=("--removable", "--encrypt", "--attribute", "write_same_to_end=1"),
        traits=_but("fixed", "bounded-write-same", "plain", also=["removable", "write-same-to-end"]),
    ),
    "write-protected": Unit(
        options=("--read-only", "--attribute", "emulate_cdb32=0"),
        traits=_but("writable", "long-cdbs", also=["write-protected"]),
    ),
    "device": Unit(
        medium=Medium.DEVICE,
        # So that an atomic write is one of whole physical blocks.
        options=(
            *("--physical-block-size", "4096"),
            *("--attribute", "atomic_alignment=8"),
            *("--attribute", "atomic_granularity=8"),
        ),
        traits=_but("any-atomic-write", also=["opaque"]),
    ),
    "large-blocks": Unit(options=("--block-size", "4096"), traits=_but("small-blocks", also=["large-blocks"])),
    # The case looks for the OVERWRITE five seconds after its start, and then does nothing for a minute.
    "slow": Unit(
        size=8 << 20,
        options=("--erase-rate", "256k", "--nopin-timeout", "60"),
        traits=_but("quick"),
        only=("Sanitize.Reset",),
    ),
}


def ledgers(units: Mapping[str, Unit] = UNITS) -> dict[str, Ledger]:
    """The ledger of each unit."""
    return {name: unit.ledger() for name, unit in units.items()}


def plan(cases: Iterable[Case], units: Mapping[str, Unit] = UNITS) -> dict[str, list[Case]]:
    """The cases to run on each unit, in their order."""
    of_unit = ledgers(units)
    planned: dict[str, list[Case]] = {name: [] for name in units}
    for case in cases:
        for name in _places(case, units, of_unit):
            planned[name].append(case)
    return planned


def _places(case: Case, units: Mapping[str, Unit], of_unit: Mapping[str, Ledger]) -> list[str]:
    meant = [name for name, unit in units.items() if unit.only is None or case.name_in_suite in unit.only]
    if case.family == _EVERYWHERE:
        return [name for name in meant if of_unit[name].runs(case)]
    return [name for name in meant if of_unit[name].passes(case)][:1]
