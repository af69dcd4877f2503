"""What a setting does, seen by an initiator: a disk over memory behind a target whose settings change while it is logged in."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from isthmus.config.model import Backstore, Configuration, PortalGroup
from isthmus.config.settings import Value
from isthmus.initiator import cdb
from isthmus.initiator.errors import LoginFailed, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.task import Result
from isthmus.scsi import logical_unit
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.status import Status
from tests.support.service import ONE, Running, disk, running_service, target

__all__ = ["BLOCK", "Bench", "Clock", "bench", "group_of", "login_status", "mode_page", "sense_of"]

BLOCK = 512
_STEP_TURNS = 20


@dataclass(slots=True)
class Bench:
    """One target with one disk, and a session that is logged in throughout."""

    running: Running
    configuration: Configuration
    session: Session
    unit: LogicalUnit

    @property
    def store(self) -> Backstore:
        """The backstore as it is configured."""
        [store] = self.configuration.backstores.values()
        return store

    @property
    def device(self) -> logical_unit.LogicalUnit:
        """The logical unit at the other end."""
        device = self.running.server.disks.unit(self.store.key)
        assert device is not None
        return device

    async def put(self, configuration: Configuration) -> None:
        """Make it the running one; the session is still there."""
        self.configuration = configuration
        await self.running.put(configuration)
        assert self.session.connections

    async def set(self, **attributes: Value) -> None:
        """Give the disk other attributes; the rest stay."""
        store = dataclasses.replace(self.store, attributes={**self.store.attributes, **attributes})
        await self.put(dataclasses.replace(self.configuration, backstores={store.key: store}))

    async def attentions(self) -> list[Sense]:
        """The unit attentions that wait, taken one after the other."""
        heard: list[Sense] = []
        while (sense := await self.sense(cdb.test_unit_ready())) and sense.key is SenseKey.UNIT_ATTENTION:
            heard.append(sense)
        return heard

    async def sense(self, command: bytes, *, data_out: bytes = b"", data_in_length: int = 0) -> Sense | None:
        """What the unit says against a command; None: it was GOOD."""
        try:
            await self.unit.command("a command", command, data_out=data_out, data_in_length=data_in_length)
        except ScsiError as error:
            return sense_of(error)
        return None

    async def status(self, command: bytes, *, data_out: bytes = b"", unit: LogicalUnit | None = None) -> int:
        """The status of a command."""
        result: Result = await (unit or self.unit).session.execute(0, command, data_out=data_out)
        return result.status

    async def changes(self, name: str, value: int, *heard: Sense) -> None:
        """Change one attribute, of which the initiator hears by these unit attentions."""
        await self.unit.become_ready()
        await self.set(**{name: value})
        assert await self.attentions() == list(heard)


def sense_of(error: ScsiError) -> Sense:
    """The sense of a command that failed with CHECK CONDITION."""
    assert error.status == Status.CHECK_CONDITION
    assert error.sense is not None
    assert error.sense.sense is not None
    return error.sense.sense


@contextlib.asynccontextmanager
async def bench(
    store: Backstore | None = None, attributes: dict[str, Any] | None = None, **group: Any
) -> AsyncIterator[Bench]:
    """A disk with these attributes; `group` is what its portal group has else."""
    store = dataclasses.replace(store or disk("a"), attributes=attributes or {})
    async with running_service() as running:
        configuration = target(store, **group)
        await running.put(configuration)
        async with await Session.login(running.settings()) as session:
            made = Bench(running, configuration, session, LogicalUnit(session, 0))
            await made.unit.become_ready()
            yield made


def group_of(configuration: Configuration, **fields: Any) -> Configuration:
    """`configuration` with other fields in its one portal group."""
    [one] = configuration.targets.values()
    [group] = one.portal_groups
    changed: PortalGroup = dataclasses.replace(group, **fields)
    return dataclasses.replace(configuration, targets={ONE: dataclasses.replace(one, portal_groups=(changed,))})


async def login_status(running: Running, **fields: Any) -> int | None:
    """With which status a login is refused; None: it succeeds."""
    try:
        async with await Session.login(running.settings(**fields)):
            return None
    except LoginFailed as error:
        return -1 if error.status is None else error.status


async def mode_page(unit: LogicalUnit, code: int) -> tuple[int, bytes]:
    """DEVICE-SPECIFIC PARAMETER and a page, by MODE SENSE (6) without block descriptors."""
    result = await unit.command("MODE SENSE (6)", bytes((0x1A, 0x08, code, 0, 0xFF, 0)), data_in_length=255)
    return result.data_in[2], bytes(result.data_in[4:])


class Clock:
    """The clock of the running loop, which a test can put on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    async def advance(self, seconds: float) -> None:
        """Let time pass, a second at most in one step, and everything happen that is due."""
        while seconds > 0:
            step = min(seconds, 1.0)
            self._ahead += step
            seconds -= step
            for _ in range(_STEP_TURNS):
                await asyncio.sleep(0)
