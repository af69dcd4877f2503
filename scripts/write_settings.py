"""Write docs/settings.md, every setting with its default and what it may be, from the rows that the program goes by.

python scripts/write_settings.py            # write it
python scripts/write_settings.py --check    # exit status 1 if it is not up to date
"""

import sys
from pathlib import Path
from typing import Final

from isthmus.config.setting_kinds import Ascii, Choice, Flag, Hexadecimal, KeyList, ListOf, Number, OneOf, Text
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    Setting,
    SettingTable,
)

ROOT: Final = Path(__file__).resolve().parent.parent
SETTINGS_PAGE: Final = ROOT / "docs" / "settings.md"
TABLES: Final[dict[str, SettingTable]] = {
    "Attributes of a backstore": BACKSTORE_ATTRIBUTES,
    "Attributes of a portal group": TPG_ATTRIBUTES,
    "Parameters of a portal group": TPG_PARAMETERS,
    "Attributes of a node ACL": ACL_ATTRIBUTES,
    "Attributes of an initiator group": INITIATOR_GROUP_ATTRIBUTES,
    "Parameters of an ALUA group": ALUA_GROUP_PARAMETERS,
}
_HEAD: Final = """\
# Settings

By the names that LIO gave them; what LIO does not know is marked with +. They are set in the shell (`set attribute NAME=VALUE`, `set
parameter`), by verbs (`isthmus backstore set`, …), in documents and over HTTP. Changes take effect at once on what runs, and initiators hear of
what concerns them; what a login settles counts from the next one on. A value that cannot be is refused in one line. *Fixed*: it is
read and saved, but any other value is refused. *Read-only*: what LIO says of its own devices, kept as it was saved.
Made by `scripts/write_settings.py`.
"""
_COLUMNS: Final = "| Setting | Default | Values | What |\n|---|---|---|---|\n"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if "--check" not in arguments:
        SETTINGS_PAGE.write_text(generate())
    elif SETTINGS_PAGE.read_text() != generate():
        sys.stderr.write(
            f"{SETTINGS_PAGE.relative_to(ROOT)} is not up to date: run python scripts/{Path(__file__).name}\n"
        )
        return 1
    return 0


def generate() -> str:
    """The page as it should be."""
    sections = [
        f"\n## {title}\n{_COLUMNS}" + "".join(_row(setting) for setting in table) for title, table in TABLES.items()
    ]
    return _HEAD + "".join(sections)


def _row(setting: Setting) -> str:
    mark = " +" if setting.extension else ""
    return f"| `{setting.name}`{mark} | {default(setting)} | {values(setting)} | {setting.about.replace('|', '/')} |\n"


def default(setting: Setting) -> str:
    """What counts where nothing is set."""
    if setting.derived:
        return "see there"
    return f"`{setting.default}`" if setting.default != "" else "empty"


def values(setting: Setting) -> str:
    """What it may be, in words."""
    if setting.fixed:
        return "fixed"
    if setting.read_only:
        return "read-only"
    match setting.kind:
        case Number(low=low, high=high, or_zero=or_zero):
            return f"{low} to {high}" + (", or 0" if or_zero else "")
        case OneOf(numbers=numbers):
            return ", ".join(map(str, numbers))
        case Flag():
            return "0, 1"
        case Choice(words=words):
            return ", ".join(words)
        case KeyList(words=words):
            return f"a list of {', '.join(words)}"
        case Text(longest=longest):
            return f"text, up to {longest} bytes"
        case Ascii(longest=longest):
            return f"up to {longest} ASCII characters"
        case Hexadecimal(lengths=lengths):
            return f"{' or '.join(map(str, lengths))} hex digits"
        case ListOf():
            return "a list"
        case _:
            return "an address or a host name"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
