"""One request after the other is answered: the row is found, and what it says is done on what runs."""

from collections.abc import Iterable

import structlog

from isthmus.compat.tgt.actions import RUNTIME_SETTINGS
from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.machine import Machine
from isthmus.compat.tgt.operations import Row, row_of
from isthmus.compat.tgt.parameters import assignments
from isthmus.compat.tgt.places import Surroundings
from isthmus.compat.tgt.shows import DRIVER
from isthmus.compat.tgt.wire import Mode, Operation, Request, Response
from isthmus.management.callers import Caller
from isthmus.server.blocking import Slices

__all__ = ["Face"]

_log = structlog.get_logger()


class Face:
    """What tgtd is to tgtadm."""

    def __init__(self, machine: Machine, around: Surroundings) -> None:
        self._machine = machine
        self._around = around

    async def answer(self, request: Request, caller: Caller) -> Response:
        """Do what is asked for; what cannot be is answered with its error number, and logged with its reason."""
        try:
            if request.lld not in {"", DRIVER}:
                raise Refused(Status.NO_DRIVER)
            return Response(text=await self._do(row_of(request), request, caller))
        except Refused as refused:
            _log.info(
                "tgtadm refused",
                mode=_name(Mode, request.mode),
                operation=_name(Operation, request.operation),
                tid=request.tid,
                status=refused.status.name,
                reason=str(refused),
                **caller.values(),
            )
            return Response(refused.status)

    def ends(self, request: Request, response: Response) -> bool:
        """Whether the daemon is to end after this."""
        deletes = (request.mode, request.operation) == (Mode.SYSTEM, Operation.DELETE)
        return deletes and response.status == Status.SUCCESS

    async def _do(self, row: Row, request: Request, caller: Caller) -> str:
        if row.show is not None:
            shown = row.show(self._machine, request, self._around)
            return shown if isinstance(shown, str) else await _joined(shown)
        if row.act is not None and (row.edit is None or _is_transient(request)):
            row.act(self._machine, request, self._around, caller)
        elif row.edit is not None:
            edit = row.edit
            await self._machine.edit(
                lambda configuration: edit(configuration, request, self._around),
                force=request.force,
                busy=row.busy,
                caller=caller,
            )
        return ""


async def _joined(pieces: Iterable[str]) -> str:
    """With room for others between them."""
    slices, found = Slices(), []
    for piece in pieces:
        found.append(piece)
        await slices.pause()
    return "".join(found)


def _is_transient(request: Request) -> bool:
    names = {name for name, _ in assignments(request.text)}
    return bool(names) and names <= RUNTIME_SETTINGS


def _name(numbers: type[Mode] | type[Operation], number: int) -> str:
    try:
        return numbers(number).name
    except ValueError:
        return str(number)
