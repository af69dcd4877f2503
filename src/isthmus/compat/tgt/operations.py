"""The table of modes and operations: what each does here, which options tgtadm takes for it, and what it is about.

Dispatch, errors, tgtadm's own checks and the documentation all go by these rows. A request that has no row is answered with the
status that tgtd has for its mode.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.compat.tgt import accounts, actions, portals, shows, system, targets, units
from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.machine import Machine
from isthmus.compat.tgt.places import Surroundings
from isthmus.compat.tgt.wire import Mode, Operation, Request
from isthmus.config.model import Configuration
from isthmus.management.callers import Caller

__all__ = ["EDITS", "ROWS", "Row", "row_of"]

Edit = Callable[[Configuration, Request, Surroundings], Configuration]
Show = Callable[[Machine, Request, Surroundings], str | Iterator[str]]
"""A long answer comes in pieces."""
Action = Callable[[Machine, Request, Surroundings, Caller], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation. It edits the configuration, or shows something, or acts on what runs."""

    mode: Mode
    operation: Operation
    about: str
    edit: Edit | None = None
    show: Show | None = None
    act: Action | None = None
    busy: Status = Status.INVALID_REQUEST
    """The answer, if something that would go is in use."""
    options: str | None = None
    """The short options that tgtadm takes; None: all."""


def _target(operation: Operation, about: str, options: str, **how: object) -> Row:
    return Row(mode=Mode.TARGET, operation=operation, about=about, options=options, **how)  # type: ignore[arg-type]  # as Row has them


def _device(operation: Operation, about: str, options: str, **how: object) -> Row:
    return Row(mode=Mode.DEVICE, operation=operation, about=about, options=options, **how)  # type: ignore[arg-type]  # likewise


def _account(operation: Operation, about: str, options: str, **how: object) -> Row:
    return Row(mode=Mode.ACCOUNT, operation=operation, about=about, options=options, **how)  # type: ignore[arg-type]  # likewise


ROWS: Final = (
    Row(
        mode=Mode.SYSTEM,
        operation=Operation.UPDATE,
        about="State=ready or offline: whether anybody may log in; debug; what an iSNS server would be told",
        edit=system.update_system,
        act=actions.update_system,
        options="LmonvC",
    ),
    Row(mode=Mode.SYSTEM, operation=Operation.SHOW, about="the whole", show=shows.show_system),
    Row(mode=Mode.SYSTEM, operation=Operation.STATS, about="the counters of all targets", show=shows.stat_system),
    Row(
        mode=Mode.SYSTEM,
        operation=Operation.DELETE,
        about="end the daemon; no target may be there",
        act=actions.delete_system,
    ),
    _target(Operation.NEW, "a target", "LmotTC", edit=targets.new_target),
    _target(
        Operation.DELETE,
        "without the target and its disks; --force: even if somebody is logged in",
        "LmotCF",
        edit=targets.delete_target,
        busy=Status.TARGET_ACTIVE,
    ),
    _target(Operation.BIND, "let in an address, a network, ALL, or an initiator", "LmotIQBHC", edit=targets.bind),
    _target(Operation.UNBIND, "do not any more", "LmotIQBHC", edit=targets.unbind),
    _target(Operation.UPDATE, "state, session keys, redirection, NOP settings", "LmotnvC", edit=targets.update_target),
    _target(Operation.SHOW, "all targets; with --tid, the settings of one", "LmotC", show=shows.show_targets),
    _target(Operation.STATS, "the counters of a target", "LmotC", show=shows.stat_target),
    _device(Operation.NEW, "a logical unit", "LmofytlbEYCS", edit=units.new_unit),
    _device(
        Operation.DELETE,
        "without the logical unit",
        "LmotlC",
        edit=units.delete_unit,
        busy=Status.LOGICAL_UNIT_ACTIVE,
    ),
    _device(Operation.UPDATE, "parameters of a logical unit (-P)", "LmofytlPC", edit=units.update_unit),
    _device(Operation.STATS, "the counters of a logical unit", "LmotlC", show=shows.stat_unit),
    Row(
        mode=Mode.PORTAL,
        operation=Operation.NEW,
        about="listen there, too",
        edit=portals.new_portal,
        options="LmoCP",
    ),
    Row(
        mode=Mode.PORTAL,
        operation=Operation.DELETE,
        about="do not any more",
        edit=portals.delete_portal,
        options="LmoCP",
    ),
    Row(mode=Mode.PORTAL, operation=Operation.SHOW, about="the portals", show=shows.show_portals, options="LmoC"),
    Row(mode=Mode.SESSION, operation=Operation.STATS, about="the counters of a session", show=shows.stat_session),
    Row(
        mode=Mode.CONNECTION,
        operation=Operation.SHOW,
        about="the connections of a target",
        show=shows.show_connections,
    ),
    Row(
        mode=Mode.CONNECTION,
        operation=Operation.STATS,
        about="the counters of a connection",
        show=shows.stat_connection,
    ),
    Row(mode=Mode.CONNECTION, operation=Operation.DELETE, about="close it", act=actions.delete_connection),
    _account(Operation.NEW, "an account", "LmoupfC", edit=accounts.new_account),
    _account(Operation.DELETE, "without the account, wherever it is bound", "LmouC", edit=accounts.delete_account),
    _account(Operation.BIND, "to a target, or to discovery", "LmotuOC", edit=accounts.bind_account),
    _account(Operation.UNBIND, "do not any more", "LmotuOC", edit=accounts.unbind_account),
    _account(Operation.SHOW, "every account", "LmoC", show=shows.show_accounts),
    Row(mode=Mode.LLD, operation=Operation.START, about="nothing: it runs", act=actions.start_driver, options="LmoC"),
    Row(
        mode=Mode.LLD,
        operation=Operation.STOP,
        about="refused while targets are there",
        act=actions.stop_driver,
        options="LmoC",
    ),
    Row(
        mode=Mode.LLD,
        operation=Operation.SHOW,
        about="the driver and its targets",
        show=shows.show_drivers,
        options="LmoC",
    ),
)
_BY_NUMBER: Final[Mapping[tuple[int, int], Row]] = {(row.mode, row.operation): row for row in ROWS}
_WITHOUT_ROW: Final = {Mode.DEVICE: Status.UNSUPPORTED_OPERATION, Mode.ACCOUNT: Status.UNSUPPORTED_OPERATION}
"""What tgtd answers to an operation that a mode does not have; every other mode: invalid request."""


def row_of(request: Request) -> Row:
    """The row of a request; raises `Refused`."""
    row = _BY_NUMBER.get((request.mode, request.operation))
    if row is None:
        status = next((status for mode, status in _WITHOUT_ROW.items() if mode == request.mode), Status.INVALID_REQUEST)
        raise Refused(status)
    return row


EDITS: Final[Mapping[tuple[int, int], Edit]] = {
    (row.mode, row.operation): row.edit for row in ROWS if row.edit is not None
}
"""Those that only change the configuration: what a file of another target can ask for."""
