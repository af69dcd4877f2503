"""tgtadm's command line: from arguments to a request, with tgtadm's own checks and words."""

import getopt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from isthmus.compat.tgt.errors import Refused
from isthmus.compat.tgt.operations import Row, row_of
from isthmus.compat.tgt.parameters import PARAMETERS
from isthmus.compat.tgt.wire import GLOBAL_TID, NO_LUN, AccountDirection, DeviceType, Mode, Operation, Request
from isthmus.errors import ConfigurationError

__all__ = ["MODES", "OPERATIONS", "Call", "UsageError", "parse_arguments"]

_SHORT: Final = "dhVL:o:m:t:s:c:l:n:v:b:E:f:y:T:I:Q:u:p:H:F:P:B:Y:O:C:S:"
"""As tgtadm has them; --force and --outgoing take no value, and their short forms one that does not count."""
_LONG: Final[Mapping[str, str]] = {
    "debug": "d",
    "help": "h",
    "version": "V",
    "lld=": "L",
    "op=": "o",
    "mode=": "m",
    "tid=": "t",
    "sid=": "s",
    "cid=": "c",
    "lun=": "l",
    "name=": "n",
    "value=": "v",
    "backing-store=": "b",
    "bstype=": "E",
    "bsopts=": "S",
    "bsoflags=": "f",
    "blocksize=": "y",
    "targetname=": "T",
    "initiator-address=": "I",
    "initiator-name=": "Q",
    "user=": "u",
    "password=": "p",
    "host=": "H",
    "force": "F",
    "params=": "P",
    "bus=": "B",
    "device-type=": "Y",
    "outgoing": "O",
    "control-port=": "C",
}
MODES: Final[Mapping[str, Mode]] = {
    "system": Mode.SYSTEM,
    "sys": Mode.SYSTEM,
    "target": Mode.TARGET,
    "tgt": Mode.TARGET,
    "logicalunit": Mode.DEVICE,
    "lu": Mode.DEVICE,
    "portal": Mode.PORTAL,
    "pt": Mode.PORTAL,
    "session": Mode.SESSION,
    "sess": Mode.SESSION,
    "connection": Mode.CONNECTION,
    "conn": Mode.CONNECTION,
    "account": Mode.ACCOUNT,
    "lld": Mode.LLD,
}
OPERATIONS: Final[Mapping[str, Operation]] = {
    "new": Operation.NEW,
    "delete": Operation.DELETE,
    "bind": Operation.BIND,
    "unbind": Operation.UNBIND,
    "show": Operation.SHOW,
    "update": Operation.UPDATE,
    "stat": Operation.STATS,
    "start": Operation.START,
    "stop": Operation.STOP,
}
_DEVICES: Final[Mapping[str, DeviceType]] = {
    "disk": DeviceType.DISK,
    "tape": DeviceType.TAPE,
    "ssc": DeviceType.TAPE,
    "cd": DeviceType.CD,
    "changer": DeviceType.CHANGER,
    "osd": DeviceType.OSD,
    "pt": DeviceType.PASSTHROUGH,
}
_TEXTS: Final = dict(zip(PARAMETERS, "bESfyTIQup", strict=True))
"""The options that go into the text of a request, by the names that they have there."""
_HINT: Final = "\nTry `tgtadm --help' for more information."
_INVALID: Final = 22
"""EINVAL, which tgtadm ends with."""
_NAMES_OF_MODES: Final = {Mode.SYSTEM: "system", Mode.TARGET: "target", Mode.DEVICE: "logicalunit", Mode.LLD: "lld"}
_ANY_OPERATION: Final = frozenset({Mode.SESSION, Mode.CONNECTION})
"""Whose operations tgtadm does not check."""


class UsageError(ConfigurationError):
    """The arguments are no call of tgtadm's; `status` is what it ends with."""

    def __init__(self, problem: str, status: int = _INVALID) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be asked, and of whom."""

    request: Request
    control_port: int = 0
    asks: frozenset[str] = field(default_factory=frozenset)
    """`help`, `version`: then nothing is asked of a daemon."""


def parse_arguments(arguments: Sequence[str]) -> Call:
    """The call that `arguments` make; raises `UsageError`."""
    try:
        found, rest = getopt.gnu_getopt(list(arguments), _SHORT, list(_LONG))
    except getopt.GetoptError as error:
        raise UsageError(f"{error.msg}{_HINT}") from None
    given: dict[str, str] = {}
    for name, value in found:
        option = name[1:] if not name.startswith("--") else _LONG.get(f"{name[2:]}=") or _LONG[name[2:]]
        given[option] = value
    nothing = Request(mode=Mode.SYSTEM, operation=Operation.SHOW)
    asked = {"h": "help", "V": "version"}.keys() & given.keys()
    if asked:
        return Call(nothing, asks=frozenset({"h": "help", "V": "version"}[option] for option in asked))
    if rest:
        raise UsageError(f"unrecognized option '{rest[0]}'{_HINT}")
    return _call(given)


def _call(given: Mapping[str, str]) -> Call:
    operation, mode = _word(given, "o", OPERATIONS, "operation"), _word(given, "m", MODES, "mode")
    if operation is None:
        raise UsageError("specify the operation type")
    if mode is None:
        raise UsageError("specify the mode")
    tid = _number(given, "t", -1)
    _check_tid(mode, operation, tid)
    request = Request(
        mode=mode,
        operation=operation,
        lld=given.get("L", "")[:63],
        tid=GLOBAL_TID if tid == -1 else tid,
        sid=_number(given, "s", 0),
        lun=_number(given, "l", NO_LUN),
        cid=_number(given, "c", 0),
        host_number=_number(given, "H", 0),
        device_type=_device(given),
        direction=AccountDirection.OUTGOING if "O" in given else AccountDirection.INCOMING,
        force="F" in given,
    )
    row = _row(request, given["o"])
    if row is not None:
        _check_allowed(row, given)
        _check_given(row, request, given)
    text = _text(request, given)
    return Call(replace(request, text=text or None), _number(given, "C", 0))


def _word(given: Mapping[str, str], option: str, words: Mapping[str, Operation | Mode], what: str) -> int | None:
    if option not in given:
        return None
    found = words.get(given[option])
    if found is None:
        raise UsageError(f"unknown {what}: {given[option]}", 1)
    return found


def _number(given: Mapping[str, str], option: str, default: int) -> int:
    if option not in given:
        return default
    try:
        number = int(given[option], 0)
    except ValueError:
        number = -1
    if not 0 <= number <= (NO_LUN if option in "sl" else 0x7FFF_FFFF):
        raise UsageError(f"-{option} argument value '{given[option]}' invalid")
    return number


def _device(given: Mapping[str, str]) -> DeviceType:
    name = given.get("Y", "disk")
    if name not in _DEVICES:
        raise UsageError(f"unknown target type: {name}")
    return _DEVICES[name]


def _check_tid(mode: int, operation: int, tid: int) -> None:
    shows = mode == Mode.TARGET and operation == Operation.SHOW
    if mode in {Mode.TARGET, Mode.DEVICE} and tid <= 0 and not shows:
        raise UsageError("'tid' cannot be 0" if tid == 0 else "'tid' option is necessary")


def _row(request: Request, operation: str) -> Row | None:
    try:
        return row_of(request)
    except Refused:
        if request.mode in _ANY_OPERATION:
            return None
        name = _NAMES_OF_MODES.get(Mode(request.mode), Mode(request.mode).name.lower())
        raise UsageError(f"operation {operation} not supported in {name} mode") from None


def _check_allowed(row: Row, given: Mapping[str, str]) -> None:
    if row.options is None:
        return
    for option in given:
        if option not in f"{row.options}d":
            name = _NAMES_OF_MODES.get(row.mode, row.mode.name.lower())
            raise UsageError(f"{name} mode: option '-{option}' is not allowed/supported")


def _check_given(row: Row, request: Request, given: Mapping[str, str]) -> None:
    """What an operation cannot do without."""
    problem = ""
    if row.mode in {Mode.SYSTEM, Mode.TARGET} and row.operation == Operation.UPDATE and not {"n", "v"} <= given.keys():
        problem = "update operation requires 'name' and 'value' options"
    elif row.mode == Mode.TARGET and row.operation == Operation.NEW and "T" not in given:
        problem = "creating new target requires a name, use --targetname"
    elif (
        row.mode == Mode.TARGET
        and row.operation in {Operation.BIND, Operation.UNBIND}
        and not given.keys() & set("IQHB")
    ):
        problem = f"{given['o']} operation requires initiator-address, initiator-nameor bus"
    elif row.mode == Mode.ACCOUNT and row.operation == Operation.NEW and not {"u", "p"} <= given.keys():
        problem = "'user' and 'password' options are required"
    elif row.mode == Mode.ACCOUNT and row.operation in {Operation.BIND, Operation.UNBIND} and "u" not in given:
        problem = "'user' option is necessary"
    elif row.mode == Mode.DEVICE and request.lun == NO_LUN:
        problem = "'lun' option is necessary"
    elif row.mode == Mode.PORTAL and row.operation != Operation.SHOW and "P" not in given:
        problem = "you must specify --param portal=<portal>"
    if problem:
        raise UsageError(problem)


def _text(request: Request, given: Mapping[str, str]) -> str:
    """The parameters, in tgtadm's order."""
    parts = [f"{given['n']}={given.get('v', '')}"] if "n" in given else []
    for name, option in _TEXTS.items():
        if name == "bstype" and request.device_type == DeviceType.TAPE:
            parts.append("bstype=ssc")
        elif option in given:
            parts.append(f"{name}={given[option]}")
    if "P" in given:
        prefix = "portalOps" if request.mode == Mode.PORTAL else "targetOps"
        parts.append(f"{prefix} {given['P']},")
    return ",".join(parts)
