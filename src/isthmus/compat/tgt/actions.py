"""What tgtadm does to what runs, and that no restart remembers."""

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.machine import Machine
from isthmus.compat.tgt.parameters import assignments
from isthmus.compat.tgt.places import Surroundings, target_by_tid
from isthmus.compat.tgt.wire import Request
from isthmus.management.callers import Caller

__all__ = ["RUNTIME_SETTINGS", "delete_connection", "delete_system", "start_driver", "stop_driver", "update_system"]

RUNTIME_SETTINGS = frozenset({"State", "debug"})
"""Those of `--mode system --op update` that are not kept."""
_STATES = {"ready": True, "offline": False}
_DEBUG = {"on": True, "off": False}


def update_system(machine: Machine, request: Request, around: Surroundings, _caller: Caller) -> None:
    """Let everybody in or nobody; `debug` is only remembered: what is logged, the daemon's --log-level says."""
    for name, value in assignments(request.text):
        table = _STATES if name == "State" else _DEBUG
        if value not in table:
            raise Refused(Status.INVALID_REQUEST, f"{name} is {' or '.join(table)}")
        if name == "State":
            machine.ready = table[value]
        else:
            around.debug.on = table[value]


def delete_system(machine: Machine, _request: Request, _around: Surroundings, _caller: Caller) -> None:
    """Whether the daemon may end; who dispatches ends it."""
    if machine.configuration.targets:
        raise Refused(Status.INVALID_REQUEST, "targets are there")


def delete_connection(machine: Machine, request: Request, around: Surroundings, caller: Caller) -> None:
    """Close a connection."""
    target = target_by_tid(machine.configuration, request.tid, around.tids)
    for view in machine.sessions:
        if view.target_name == target.name and view.tsih == request.sid:
            if request.cid not in {connection.cid for connection in view.connections}:
                raise Refused(Status.NO_CONNECTION)
            machine.drop_connection(view.tsih, request.cid, caller)
            return
    raise Refused(Status.NO_SESSION)


def start_driver(_machine: Machine, _request: Request, _around: Surroundings, _caller: Caller) -> None:
    """It runs."""


def stop_driver(machine: Machine, _request: Request, _around: Surroundings, _caller: Caller) -> None:
    """Without targets there is nothing that it would do."""
    if machine.configuration.targets:
        raise Refused(Status.DRIVER_ACTIVE)
