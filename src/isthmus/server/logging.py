"""The log: one event a line on standard error, as key=value, the time first, in UTC.

Every module logs with `structlog.get_logger()` and passes values by name; an event is a few words that stay the same,
so that one can search for it. What a peer sent is made printable here, so that it cannot forge a line or steer a
terminal. A `Secret` hides itself. What libraries log through the standard library comes out in the same form.

Lines that go to systemd's journal begin with their priority, as sd-daemon(3) has it, which the journal takes off again:
`journalctl -p warning` finds warnings.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, Final

import structlog
from structlog.typing import Processor

from isthmus.server.options import LogLevel

__all__ = ["configure_logging"]

_PRIORITIES: Final[Mapping[object, int]] = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog(3), by the names of levels."""
_INFORMATION: Final = 6

_RENDERER: Final = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)


def configure_logging(level: LogLevel) -> None:
    """Send events of `level` and above to standard error, from now on."""
    number: int = getattr(logging, level.name)
    collect: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [
        structlog.processors.format_exc_info,
        printable_values,
        _render_with_priority if _is_journal(sys.stderr) else _RENDERER,
    ]
    structlog.configure(
        processors=[*collect, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _configure_standard_library(number, collect, render)


def _configure_standard_library(level: int, collect: list[Processor], render: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=collect,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _is_journal(stream: IO[str]) -> bool:
    """Whether it leads to the journal, as systemd tells by JOURNAL_STREAM (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _render_with_priority(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    priority = _PRIORITIES.get(event.get("level"), _INFORMATION)
    return f"<{priority}>{_RENDERER(logger, method, event)}"


def printable_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what is not printable in the values of `event` (a structlog processor)."""
    for key, value in event.items():
        if not isinstance(value, int | float | None):
            event[key] = printable(str(value))
    return event


def printable(text: str) -> str:
    """`text` with each character that is not printable as its Python escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
