"""Write the generated tables of docs/protocol-support.md: commands, mode pages' home, text keys and states.

The tables come from what the program itself runs by, so the page cannot say what is not so. Between a line
`<!-- NAME: generated -->` and the next `<!-- end -->` everything is replaced; the rest of the page is written by hand.

    python scripts/protocol_support.py            # rewrite the page
    python scripts/protocol_support.py --check    # exit status 1 if it is not up to date
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from isthmus.iscsi import connection_state, session_state, transfer
from isthmus.iscsi.keys import KEYS
from isthmus.scsi import alua, task_set
from isthmus.scsi.command_table import DISK_COMMANDS, DRIVE_COMMANDS, CommandTable
from isthmus.scsi.mmc.configuration import FEATURES
from isthmus.scsi.mmc.mode_pages import DRIVE_PAGES
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.spc import log_pages, mode_pages, vpd

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "protocol-support.md"
_SECTION: Final = re.compile(r"(<!-- (?P<name>[a-z-]+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Rewrite the page, or check it."""
    present = PAGE.read_text()
    wanted = generate(present)
    if "--check" in arguments:
        return 0 if wanted == present else complain()
    PAGE.write_text(wanted)
    return 0


def complain() -> int:
    """Say that the page is old."""
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not up to date: run python {Path(__file__).relative_to(ROOT)}\n")
    return 1


def generate(page: str) -> str:
    """The page with its generated parts as they are now."""
    return _SECTION.sub(lambda found: found[1] + "\n".join(TABLES[found["name"]]()) + "\n" + found[3], page)


def commands(table: CommandTable) -> Iterator[str]:
    """A command table."""
    yield "| Opcode | Command | CDB | Beside another's reservation | Target port | Section | Test |"
    yield "|---|---|---|---|---|---|---|"
    for row in table:
        opcode = f"{row.opcode:02X}h" + ("" if row.service_action is None else f"/{row.service_action:02X}h")
        reservation = row.reservation.name.lower().replace("_", " ")
        access = row.access.name.lower()
        yield f"| {opcode} | {row.name} | {row.cdb_length} | {reservation} | {access} | {row.source} | {test_of(row)} |"


def pages() -> Iterator[str]:
    """The vital product data pages, mode pages and log pages."""
    yield "| Kind | Code | Page | Section |"
    yield "|---|---|---|---|"
    for vpd_page in vpd.PAGES.values():
        yield f"| VPD | {vpd_page.code:02X}h | {vpd_page.name} | {vpd_page.source} |"
    for mode_page in mode_pages.PAGES:
        yield f"| Mode | {_page_code(mode_page.key)} | {mode_page.name} | {mode_page.source} |"
    for drive_page in DRIVE_PAGES:
        yield f"| Mode (drives) | {_page_code(drive_page.key)} | {drive_page.name} | {drive_page.source} |"
    for log_page in log_pages.LOG_PAGES.values():
        yield f"| Log | {_page_code(log_page.key)} | {log_page.name} | {log_page.source} |"


def features() -> Iterator[str]:
    """The features of a drive."""
    yield "| Feature | Name | Section |"
    yield "|---|---|---|"
    for feature in FEATURES:
        yield f"| {feature.code:04X}h | {feature.name} | {feature.source} |"


def _page_code(key: tuple[int, int]) -> str:
    code, subpage = key
    return f"{code:02X}h" + (f"/{subpage:02X}h" if subpage else "")


def test_of(row: CommandDescriptor) -> str:
    """The unit tests beside the handler of a row."""
    module = handler_module(row).removeprefix("isthmus.").split(".")
    test = Path("tests/unit", *module[:-1], f"test_{module[-1]}.py")
    if not (ROOT / test).exists():
        raise SystemExit(f"{row.name}: there is no {test}")
    return f"[{test.stem}](../{test})"


def handler_module(row: CommandDescriptor) -> str:
    """Where the handler stands, also if it is a partial or a bound method."""
    handler = getattr(row.handler, "func", row.handler)
    return str(handler.__module__)


def keys() -> Iterator[str]:
    """The text keys."""
    yield "| Key | Use | Scope | Result | Default | Section |"
    yield "|---|---|---|---|---|---|"
    for name, key in KEYS.items():
        default = "" if key.default is None else f"{key.default}"
        result = key.result.name.lower().replace("_", " ")
        yield f"| {name} | {key.use.value} | {key.scope.value} | {result} | {default} | §{key.section} |"


def states(table: Iterable[tuple[tuple[Enum, Enum], object]]) -> Callable[[], Iterator[str]]:
    """A state machine, as the rows of its table."""

    def rows() -> Iterator[str]:
        yield "| In | when | then |"
        yield "|---|---|---|"
        for (state, happened), after in table:
            target = after.name if isinstance(after, Enum) else str(after)
            yield f"| {state.name} | {happened.value} | {target} |"

    return rows


TABLES: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "commands": partial(commands, DISK_COMMANDS),
    "drive-commands": partial(commands, DRIVE_COMMANDS),
    "features": features,
    "pages": pages,
    "text-keys": keys,
    "connection-states": states(connection_state.TRANSITIONS.items()),
    "session-states": states(session_state.TRANSITIONS.items()),
    "transfer-states": states(transfer.TRANSITIONS.items()),
    "task-states": states(task_set.TRANSITIONS.items()),
    "target-port-group-states": states(alua.TRANSITIONS.items()),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
