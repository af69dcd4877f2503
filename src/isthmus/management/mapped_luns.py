"""Changes of mapped LUNs, which node ACLs and initiator groups both have."""

from collections.abc import Collection

from isthmus.config.model import MAX_LUN, MappedLun
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of

__all__ = ["chosen_number", "with_mapped_lun", "without_mapped_lun", "without_mappings_of"]

MappedLuns = tuple[MappedLun, ...]


def with_mapped_lun(
    mapped_luns: MappedLuns, tpg_lun: int, *, number: int | None = None, write_protect: bool = False
) -> MappedLuns:
    """With that LUN of the portal group, under its own number or another, in the order of the numbers.

    Raises `ConfigurationError` where the number is taken.
    """
    wanted = tpg_lun if number is None else number
    chosen = chosen_number("mapped LUN", wanted, {mapped.number for mapped in mapped_luns})
    created = MappedLun(number=chosen, tpg_lun=tpg_lun, write_protect=write_protect)
    return tuple(sorted((*mapped_luns, created), key=lambda mapped: mapped.number))


def without_mapped_lun(mapped_luns: MappedLuns, number: int, owner: str) -> MappedLuns:
    """Without the one of that number; raises `NotFoundError` with those that `owner` has."""
    left = tuple(mapped for mapped in mapped_luns if mapped.number != number)
    if len(left) == len(mapped_luns):
        there = some_of(f"mapped_lun{mapped.number}" for mapped in mapped_luns)
        raise NotFoundError(f"{owner} has no mapped_lun{number}", f"it has {there}")
    return left


def without_mappings_of(mapped_luns: MappedLuns, tpg_luns: Collection[int]) -> MappedLuns:
    """Without what maps these LUNs of the portal group."""
    return tuple(mapped for mapped in mapped_luns if mapped.tpg_lun not in tpg_luns)


def chosen_number(what: str, wanted: int | None, taken: Collection[int]) -> int:
    """`wanted`, or the lowest that is free; raises `ConfigurationError` if it is taken or none is free."""
    if wanted is not None:
        if wanted in taken:
            raise ConfigurationError(f"{what} {wanted} is taken", "choose another number")
        return wanted
    for number in range(MAX_LUN + 1):
        if number not in taken:
            return number
    raise ConfigurationError(f"every {what} number is taken", "remove one")
