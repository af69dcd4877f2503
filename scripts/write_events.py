"""Write docs/events.md, the table of events, from the rows that the program goes by.

python scripts/write_events.py            # write it
python scripts/write_events.py --check    # exit status 1 if it is not up to date
"""

import sys
from pathlib import Path
from typing import Final

from isthmus.events import EVENTS

ROOT: Final = Path(__file__).resolve().parent.parent
EVENTS_PAGE: Final = ROOT / "docs" / "events.md"
_HEAD: Final = """\
# Events

What happens is told once each, by a name that stays the same: as a line of the log (`event=…`), to whoever follows
(`isthmus events --follow`, `GET /v1/events/stream`), and as a count in the metrics (`isthmus_events_total`). Values that are empty or not
known are left out. Other lines of the log are for people, and may change. Made by `scripts/write_events.py`.

| Event | Level | When | Says |
|---|---|---|---|
"""


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if "--check" not in arguments:
        EVENTS_PAGE.write_text(generate())
    elif EVENTS_PAGE.read_text() != generate():
        sys.stderr.write(
            f"{EVENTS_PAGE.relative_to(ROOT)} is not up to date: run python scripts/{Path(__file__).name}\n"
        )
        return 1
    return 0


def generate() -> str:
    """The page as it should be."""
    rows = [
        f"| `{kind.name}` | {kind.level} | {kind.about} | {' '.join(f'`{value}`' for value in kind.values)} |"
        for kind in EVENTS.values()
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
