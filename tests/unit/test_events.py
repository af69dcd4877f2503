import ast
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import isthmus
from isthmus import events
from isthmus.events import EVENTS, Occurrence, emit, listen

SOURCES = sorted(Path(isthmus.__file__).parent.rglob("*.py"))


def emits() -> Iterator[tuple[str, ast.Call]]:
    """Each call of `emit` in the program, and where it is."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.emit":
                yield f"{path.name}:{node.lineno}", node


def kinds_of(call: ast.Call) -> set[str]:
    """The names of the kinds that a call can tell of."""
    return {node.attr for node in ast.walk(call.args[0]) if isinstance(node, ast.Attribute)}


def test_an_event_is_a_line_of_the_log_and_heard_once() -> None:
    """Until the listener has enough."""
    heard: list[Occurrence] = []
    stop = listen(heard.append)
    with capture_logs() as logs:
        emit(events.PORTAL_OPENED, portal="192.0.2.1:3260")
        stop()
        stop()
        emit(events.PORTAL_CLOSED, portal="192.0.2.1:3260")
    assert logs[0] == {"event": "portal opened", "log_level": "info", "portal": "192.0.2.1:3260"}
    assert [(one.kind, one.values) for one in heard] == [(events.PORTAL_OPENED, {"portal": "192.0.2.1:3260"})]
    assert len(logs) == 2


def test_a_listener_is_called_where_it_happens() -> None:
    """Storage fails on threads."""
    heard: list[int] = []
    stop = listen(lambda _: heard.append(threading.get_ident()))
    thread = threading.Thread(target=lambda: emit(events.STOPPING))
    thread.start()
    thread.join()
    stop()
    assert heard == [thread.ident]


@pytest.mark.parametrize(("where", "call"), list(emits()), ids=lambda value: value if isinstance(value, str) else "")
def test_an_event_says_what_its_row_says(where: str, call: ast.Call) -> None:
    """No value has a name that the documentation does not know; `**` brings callers and connections."""
    named = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    for name in kinds_of(call):
        kind = getattr(events, name, None)
        if isinstance(kind, events.EventKind):
            assert named <= set(kind.values), where


def test_every_event_happens_somewhere() -> None:
    """No row is there without somebody who tells of it; no line of the log has the name of an event but through `emit`."""
    told = Counter(name for _, call in emits() for name in kinds_of(call))
    rows = {name for name, kind in vars(events).items() if isinstance(kind, events.EventKind)}
    assert rows <= told.keys()
    plain = {
        node.args[0].value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "_log"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert not plain & EVENTS.keys()


def test_names_are_those_that_scripts_know() -> None:
    """A name that changes breaks somebody's alarm: they are written down here a second time."""
    assert list(EVENTS) == [
        "login",
        "login refused",
        "login redirected",
        "login failed",
        "login timed out",
        "login given up",
        "connection lost in login",
        "connection closed in login",
        "logout",
        "connection lost",
        "connection closed for a violation",
        "connection dropped",
        "session ended",
        "reset",
        "portal opened",
        "portal closed",
        "portal cannot be bound",
        "cannot accept",
        "storage failure",
        "backstore does not run",
        "backstore started",
        "ALUA state restored",
        "size changed",
        "configuration loaded",
        "configuration changed",
        "configuration not changed",
        "session is to end",
        "control refused",
        "stopping",
    ]
