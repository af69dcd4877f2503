"""The storage behind the units: opened in order, all or none.

If the server cannot start after all, `withdraw_units` leaves everything as it was: a file that opening made goes away.
"""

import dataclasses
import os
import stat
from collections.abc import Sequence

from isthmus.backstores.base import Backstore
from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.device_type import CD_DVD
from isthmus.server.options import FileUnit, ServeOptions, Unit

__all__ = ["close_units", "is_in_drive", "open_units", "withdraw_units"]


def open_units(options: ServeOptions) -> list[Backstore]:
    """The backstore of each unit, in the order of their LUNs; raises `ConfigurationError`, with nothing left behind."""
    _check_distinct(options.units)
    opened: list[Backstore] = []
    try:
        for lun, unit in enumerate(options.units):
            opened.append(_open(_spec(unit, lun, options), unit, rotational=options.rotational))
    except BaseException:
        withdraw_units(opened)
        raise
    return opened


def withdraw_units(backstores: Sequence[Backstore]) -> None:
    """Undo `open_units`, before the first initiator could write."""
    for backstore in backstores:
        backstore.withdraw()


def close_units(backstores: Sequence[Backstore]) -> None:
    """Flush and close every backstore, also if some fail; then raises one `BackstoreError` that tells of each failure."""
    failures: list[BackstoreError] = []
    for backstore in backstores:
        try:
            backstore.close()
        except BackstoreError as error:
            failures.append(error)
    if failures:
        problem = f"not everything could be made durable: {'; '.join(map(str, failures))}"
        raise BackstoreError(failures[0].errno, problem) from ExceptionGroup(problem, failures)


def _open(spec: BackstoreSpec, unit: Unit, *, rotational: bool) -> Backstore:
    if spec.size is not None:
        _check_multiple(spec.path, spec.size, spec.block_length)
    backstore = open_backstore(spec)
    backstore.capabilities = dataclasses.replace(backstore.capabilities, rotational=rotational)
    try:
        if not is_in_drive(unit):
            _check_multiple(spec.path, backstore.size, spec.block_length)
    except ConfigurationError:
        backstore.withdraw()
        raise
    return backstore


def _spec(unit: Unit, lun: int, options: ServeOptions) -> BackstoreSpec:
    is_file, in_drive = isinstance(unit, FileUnit), is_in_drive(unit)
    return BackstoreSpec(
        kind=_kind(unit),
        path=str(unit.path) if isinstance(unit, FileUnit) else f"{options.target_name}:ram{lun}",
        size=unit.size,
        create=is_file and unit.size is not None,
        read_only=options.read_only or in_drive,
        write_back=options.write_back,
        block_length=CD_DVD.block_lengths[0] if in_drive else options.block_length,
    )


def is_in_drive(unit: Unit) -> bool:
    """Whether the unit is a drive with a file in it."""
    return isinstance(unit, FileUnit) and unit.in_drive


def _kind(unit: Unit) -> str:
    """Which kind of backstore: a device is used past the page cache, which would only hold its blocks twice."""
    if not isinstance(unit, FileUnit):
        return "ramdisk"
    try:
        is_device = stat.S_ISBLK(unit.path.stat().st_mode)
    except OSError:
        return "fileio"  # opening it will say what is wrong
    return "block" if is_device else "fileio"


def _check_distinct(units: Sequence[Unit]) -> None:
    seen: set[str] = set()
    for unit in units:
        if isinstance(unit, FileUnit):
            real = os.path.realpath(unit.path)
            if real in seen:
                raise ConfigurationError(f"{unit.path} is named twice", "give each unit a file of its own")
            seen.add(real)


def _check_multiple(what: str, size: int, block_length: int) -> None:
    if size % block_length:
        raise ConfigurationError(
            f"{what}: {size} bytes are not a whole number of {block_length}-byte blocks",
            f"make them {size + -size % block_length} first (truncate --size), or choose another --block-size",
        )
