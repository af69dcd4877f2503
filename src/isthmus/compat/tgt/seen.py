"""What `--mode target --op show` says, read back: by the same marks in the text that tgt-admin goes by."""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["SeenTarget", "seen_targets"]

_TARGET: Final = re.compile(r"^Target (\d+): (.+)$")
_NEXUS: Final = re.compile(r"^ {8}I_T nexus: (\d+)$")
_CONNECTION: Final = re.compile(r"^ {12}Connection: (\d+)$")
_LUN: Final = re.compile(r"^ {8}LUN: (\d+)$")
_STORE: Final = re.compile(r"^ {12}Backing store path: (.+)$")
_OUTGOING: Final = " (outgoing)"
_ACCOUNTS: Final = "    Account information:"
_RULES: Final = "    ACL information:"
_NONE: Final = "None"


@dataclass(slots=True)
class SeenTarget:
    """One target."""

    tid: int
    name: str
    luns: list[int]
    stores: list[str]
    incoming: list[str]
    outgoing: list[str]
    rules: list[str]
    connections: list[tuple[int, int]]
    """Of each, the session and the connection ID."""


def seen_targets(text: str) -> list[SeenTarget]:
    """The targets in the order in which they are shown; what is not understood is passed over."""
    targets: list[SeenTarget] = []
    section = ""
    session = 0
    for line in text.splitlines():
        if match := _TARGET.match(line):
            targets.append(SeenTarget(int(match[1]), match[2], [], [], [], [], [], []))
            section = ""
        elif not targets:
            continue
        elif re.match(r"^ {4}\S", line):
            section = line
        elif section == _ACCOUNTS:
            user = line.strip()
            is_outgoing = user.endswith(_OUTGOING)
            (targets[-1].outgoing if is_outgoing else targets[-1].incoming).append(user.removesuffix(_OUTGOING))
        elif section == _RULES:
            targets[-1].rules.append(line.strip())
        elif match := _NEXUS.match(line):
            session = int(match[1])
        else:
            _detail(targets[-1], line, session)
    return targets


def _detail(target: SeenTarget, line: str, session: int) -> None:
    if match := _CONNECTION.match(line):
        target.connections.append((session, int(match[1])))
    elif match := _LUN.match(line):
        target.luns.append(int(match[1]))
    elif (match := _STORE.match(line)) and match[1] != _NONE:
        target.stores.append(match[1])
