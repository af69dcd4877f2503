"""The text of a request: parameters joined by commas, as tgtadm writes them.

tgtd cuts the text at every comma. Here a comma is a boundary only where the name of a parameter follows, so that paths and
secrets may have commas in them.
"""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["PARAMETERS", "assignments", "named_parameters"]

PARAMETERS: Final = (
    "path",
    "bstype",
    "bsopts",
    "bsoflags",
    "blocksize",
    "targetname",
    "initiator-address",
    "initiator-name",
    "user",
    "password",
)
"""In the order in which tgtadm writes them."""
_LAST: Final = "password"
_PREFIXES: Final = ("targetOps ", "portalOps ")


def named_parameters(text: str | None, *names: str) -> dict[str, str]:
    """Those of `names` that are in `text`. A password is the last of them, and goes on to the end whatever is in it."""
    boundary = re.compile(rf"(?:^|,)({'|'.join(names)})=")
    found: dict[str, str] = {}
    name, start = "", 0
    for place in boundary.finditer(text or ""):
        if name != _LAST:
            _put(found, name, (text or "")[start : place.start()])
            name, start = place[1], place.end()
    _put(found, name, (text or "")[start:])
    return found


def _put(found: dict[str, str], name: str, value: str) -> None:
    if name:
        found[name] = value


def assignments(text: str | None) -> Iterator[tuple[str, str]]:
    """The `NAME=VALUE` of -P, or of --name and --value; an item without = has an empty value."""
    text = text or ""
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    for item in text.split(","):
        if item:
            name, _, value = item.partition("=")
            yield name, value
