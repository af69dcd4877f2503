"""`isthmus initiator`: use targets, ours or others': discover, look, copy, measure."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

import click

from isthmus.cli.initiator_options import EXIT_FAILED, EXIT_REFUSED, REFUSALS, Place, login_options, run
from isthmus.cli.initiator_output import (
    UnitListing,
    device_type_name,
    inquiry_lines,
    measurement_line,
    plain,
    print_json,
    target_lines,
    unit_line,
)
from isthmus.cli.parameters import SIZE, ParsedType
from isthmus.errors import ConfigurationError, IsthmusError
from isthmus.initiator.benchmark import Workload, run_benchmark
from isthmus.initiator.discovery import DiscoveredTarget, discover
from isthmus.initiator.errors import InitiatorError, ScsiError
from isthmus.initiator.inquiry import VPD_PAGES, SupportedPages, decode_vpd_page
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.parameter_data import Capacity
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.stream import DEFAULT_OUTSTANDING, ByteRange, read_range, write_range
from isthmus.initiator.target_address import TargetAddress
from isthmus.scsi.lun import decode_lun
from isthmus.sizes import parse_size

__all__ = ["initiator"]


def parse_page(text: str) -> int:
    """A VPD page code, in hex with or without a mark: 83, 0x83, 83h; raises `ConfigurationError`."""
    digits = text.lower().removeprefix("0x").removesuffix("h")
    try:
        page = int(digits, 16)
    except ValueError:
        page = -1
    if not 0 <= page <= 0xFF:
        raise ConfigurationError(f"{text!r} is not a VPD page code", "write it in hex, like 83 or 0xb0")
    return page


OFFSET: Final = ParsedType("offset", lambda text: 0 if text == "0" else parse_size(text))
PAGE: Final = ParsedType("page", parse_page)
_OUTSTANDING: Final = click.option(
    "--outstanding",
    type=click.IntRange(1, 1024),
    default=DEFAULT_OUTSTANDING,
    show_default=True,
    help="Commands in flight.",
)


@click.group(short_help="Use targets: discover, list, read, write, measure.")
def initiator() -> None:
    """Use iSCSI targets, of this package or any other.

    URL is iscsi://[USER@]HOST[:PORT]/TARGET/LUN. Exit status: 0 done; 1 a command failed; 2 wrong usage, nobody there,
    or the login was refused.
    """


@initiator.command("discover", short_help="List the targets of a portal.")
@login_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def discover_command(*, place: Place, as_json: bool) -> int:
    """List the targets that the portal of URL knows, a line for each of their portals: ADDRESS:PORT,TAG NAME."""

    async def work() -> int:
        targets = await discover(place.settings)
        if as_json:
            print_json(targets)
        for target in () if as_json else targets:
            for line in target_lines(target, place.url.portal):
                click.echo(line)
        return 0

    return run(work())


@initiator.command("ls", short_help="List targets with their LUNs.")
@login_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls_command(*, place: Place, as_json: bool) -> int:
    """List the LUNs of the target in URL, or of all targets of its portal: URL, size, type, vendor and product."""
    return run(_list_units(place, as_json=as_json))


async def _list_units(place: Place, *, as_json: bool) -> int:
    listing: dict[str, list[UnitListing]] = {}
    status = 0
    for settings in await _targets(place):
        name = settings.target_name or ""
        try:
            listing[name] = await _units(settings)
        except IsthmusError as error:
            # One target that fails must not hide the others; the exit status remembers it.
            click.echo(f"isthmus: {name}: {error}", err=True)
            status = max(status, EXIT_REFUSED if isinstance(error, REFUSALS) else EXIT_FAILED)
    if as_json:
        print_json(listing)
    for unit in () if as_json else (unit for units in listing.values() for unit in units):
        click.echo(unit_line(unit))
    return status


async def _targets(place: Place) -> list[LoginSettings]:
    """The logins for the target of the URL, or for each that its portal tells of."""
    if place.url.target is not None:
        return [place.settings]
    targets = await discover(place.settings)
    return [_login_to(place.settings, target) for target in targets]


def _login_to(settings: LoginSettings, target: DiscoveredTarget) -> LoginSettings:
    """The portal that was asked if it is one of the target's, else the target's first."""
    here = TargetAddress(settings.host, settings.port)
    addresses = [replace(address, portal_group_tag=None) for address in target.addresses] or [here]
    address = here if here in addresses else addresses[0]
    return replace(settings, target_name=target.name, host=address.host, port=address.port)


async def _units(settings: LoginSettings) -> list[UnitListing]:
    async with await Session.login(settings) as session:
        fields = await LogicalUnit(session, 0).report_luns()
        numbers = [number for number in map(decode_lun, fields) if number is not None]
        return [await _describe(session, settings, number) for number in numbers]


async def _describe(session: Session, settings: LoginSettings, lun: int) -> UnitListing:
    unit = LogicalUnit(session, lun)
    inquiry = await unit.inquiry()
    capacity = await _capacity(unit) if inquiry.is_connected and inquiry.has_blocks else None
    address = TargetAddress(settings.host, settings.port)
    return UnitListing(
        lun=lun,
        url=f"iscsi://{address}/{settings.target_name}/{lun}",
        device_type=device_type_name(inquiry.peripheral_device_type),
        vendor=inquiry.vendor,
        product=inquiry.product,
        size=None if capacity is None else capacity.size,
        block_length=None if capacity is None else capacity.block_length,
    )


async def _capacity(unit: LogicalUnit) -> Capacity | None:
    """The capacity, None (and a word on standard error) if there is none now, as without a medium."""
    try:
        await unit.become_ready()
        return await unit.read_capacity()
    except ScsiError as error:
        click.echo(f"isthmus: LUN {unit.lun}: {error}", err=True)
        return None


@asynccontextmanager
async def _open_unit(place: Place, *, connections: int = 1) -> AsyncIterator[LogicalUnit]:
    """The unit of the URL, ready, in a session of that many connections."""
    lun = place.lun()
    async with await Session.login(place.settings) as session:
        for _ in range(connections - 1):
            await session.add_connection()
        unit = LogicalUnit(session, lun)
        await unit.become_ready()
        yield unit


@initiator.command("inquiry", short_help="Print what a LUN says of itself.")
@login_options
@click.option("--page", type=PAGE, metavar="CODE", help="Only this VPD page, in hex.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inquiry_command(*, place: Place, page: int | None, as_json: bool) -> int:
    """Print the standard INQUIRY data and the VPD pages of a LUN."""
    return run(_inquire(place, page, as_json=as_json))


async def _inquire(place: Place, page: int | None, *, as_json: bool) -> int:
    lun = place.lun()
    async with await Session.login(place.settings) as session:
        found = await _inquiry_data(LogicalUnit(session, lun), page)
    if as_json:
        print_json(found)
    for title, value in () if as_json else found.items():
        for line in inquiry_lines(title, value):
            click.echo(line)
    return 0


async def _inquiry_data(unit: LogicalUnit, page: int | None) -> dict[str, object]:
    """By title: one page, or the standard data and all pages. Raises `InitiatorError` for a LUN with nothing behind it."""
    standard = await unit.inquiry()
    if not standard.is_connected:
        raise InitiatorError(f"the target has no logical unit at LUN {unit.lun}")
    found: dict[str, object] = {} if page is not None else {"standard INQUIRY data": standard}
    for code in [page] if page is not None else await _supported_pages(unit):
        data = await unit.vpd_page(code)
        title = f"VPD page {code:02X}h" + (f", {VPD_PAGES[code][0]}" if code in VPD_PAGES else "")
        found[title] = decode_vpd_page(data) or {"bytes": data}
    return found


async def _supported_pages(unit: LogicalUnit) -> tuple[int, ...]:
    page = decode_vpd_page(await unit.vpd_page(0))
    return page.pages if isinstance(page, SupportedPages) else ()


@initiator.command("read", short_help="Copy bytes of a LUN to a file.")
@login_options
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--offset", type=OFFSET, metavar="SIZE", default=0, help="Where to begin.  [default: 0]")
@click.option("--length", type=SIZE, metavar="SIZE", help="How much.  [default: to the end]")
@_OUTSTANDING
def read_command(*, place: Place, file: Path, offset: int, length: int | None, outstanding: int) -> int:
    """Copy bytes of the LUN of URL to FILE, or to standard output. FILE is overwritten."""
    if str(file) == "-" and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal: name a FILE or redirect it")
    return run(_read(place, file, offset, length, outstanding))


async def _read(place: Place, file: Path, offset: int, length: int | None, outstanding: int) -> int:
    async with _open_unit(place) as unit:
        source = await ByteRange.of(unit)
        source.check(offset, length or 0)
        rest = source.capacity.size - offset if length is None else length
        with _open_file(file, "wb") as sink:
            pieces = read_range(source, offset=offset, length=rest, outstanding=outstanding)
            async with aclosing(pieces):
                async for data in pieces:
                    await asyncio.to_thread(_write_all, sink, data)
            sink.flush()
    return 0


def _write_all(sink: BinaryIO, data: bytes) -> None:
    """Write all of it, whatever pieces a raw file takes."""
    view = memoryview(data)
    while view:
        view = view[sink.write(view) :]


def _open_file(file: Path, mode: str) -> BinaryIO:
    """The file, or the standard stream for `-`; raises `ConfigurationError`."""
    if str(file) == "-":
        stream = sys.stdout if "w" in mode else sys.stdin
        return stream.buffer
    try:
        opened: BinaryIO = file.open(mode)  # type: ignore[assignment]  # the mode is binary
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be opened: {error.strerror}", "check its path and permissions"
        ) from error
    return opened


@initiator.command("write", short_help="Copy a file to a LUN.")
@login_options
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--offset", type=OFFSET, metavar="SIZE", default=0, help="Where to begin.  [default: 0]")
@click.option("--length", type=SIZE, metavar="SIZE", help="How much.  [default: all of FILE]")
@click.option("--no-sync", is_flag=True, help="Do not make the target put it on its medium before the end.")
@_OUTSTANDING
def write_command(*, place: Place, file: Path, offset: int, length: int | None, no_sync: bool, outstanding: int) -> int:
    """Copy FILE, or standard input, to the LUN of URL, and make it durable there.

    A block of which only a part is written is read first; nobody else should write it meanwhile.
    """
    return run(_write(place, file, offset, length, outstanding, sync=not no_sync))


async def _write(place: Place, file: Path, offset: int, length: int | None, outstanding: int, *, sync: bool) -> int:
    with _open_file(file, "rb") as source:
        size = _regular_size(file)
        if length is not None and size is not None and size < length:
            raise ConfigurationError(f"{file} has {size} bytes, not {length}", "give a smaller --length, or none")
        async with _open_unit(place) as unit:
            target = await ByteRange.of(unit)
            target.check(offset, length or size or 0)

            async def read_some(wanted: int) -> bytes:
                return await asyncio.to_thread(source.read, wanted)

            await write_range(target, read_some, offset=offset, length=length, outstanding=outstanding)
            if sync:
                await unit.synchronize_cache()
    return 0


def _regular_size(file: Path) -> int | None:
    """Bytes in a regular file, None for what only its end will tell."""
    return file.stat().st_size if file.is_file() else None


@initiator.command("bench", short_help="Measure a LUN.")
@login_options
@click.option("--write", "writes", is_flag=True, help="Write instead of reading: OVERWRITES the LUN with random bytes.")
@click.option("--random", "is_random", is_flag=True, help="At random places instead of one after the other.")
@click.option("--block-size", type=SIZE, metavar="SIZE", default="4k", show_default=True, help="Of one command.")
@click.option("--outstanding", type=click.IntRange(1, 1024), default=32, show_default=True, help="Commands in flight.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option("--connections", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the one session.")
@click.option("--yes", is_flag=True, help="Do not ask before overwriting.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench_command(
    *,
    place: Place,
    writes: bool,
    is_random: bool,
    block_size: int,
    outstanding: int,
    seconds: float,
    connections: int,
    yes: bool,
    as_json: bool,
) -> int:
    """Measure how fast the LUN of URL answers: IOPS, throughput and latency."""
    if writes and not yes:
        _confirm_overwriting()
    workload = Workload(
        block_size=block_size, outstanding=outstanding, seconds=seconds, writes=writes, is_random=is_random
    )
    return run(_bench(place, workload, connections, as_json=as_json))


def _confirm_overwriting() -> None:
    """Go on only if somebody says so."""
    if not sys.stdin.isatty():
        raise click.UsageError("this overwrites the LUN, and nobody is there to ask: add --yes if that is meant")
    click.confirm("This overwrites the LUN. Go on?", abort=True, err=True)


async def _bench(place: Place, workload: Workload, connections: int, *, as_json: bool) -> int:
    async with _open_unit(place, connections=connections) as unit:
        result = await run_benchmark(unit, workload)
    if as_json:
        figures = plain(result) | {"iops": result.iops, "bytes_per_second": result.bytes_per_second}
        print_json({"workload": workload, "connections": connections, "result": figures})
    else:
        click.echo(measurement_line(workload, connections, result))
    return 0
