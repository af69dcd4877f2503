"""tgt's portals, which all its targets share, as functions from one configuration to the next."""

import dataclasses
import re
from collections.abc import Callable
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.parameters import assignments
from isthmus.compat.tgt.places import TID, Surroundings, with_options
from isthmus.compat.tgt.session_keys import numeral
from isthmus.compat.tgt.wire import Request
from isthmus.config.model import Configuration, Portal, Target
from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError

__all__ = ["delete_portal", "new_portal", "parse_portal", "tgt_portals"]

_PORTALS: Final = "tgt_portals"
_PORTAL: Final = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")
_DEFAULTS: Final = {"nop_interval": "tgt_nop_interval", "nop_count": "tgt_nop_count"}


def tgt_portals(configuration: Configuration) -> tuple[Portal, ...] | None:
    """Those that tgtadm has set; None: it has set none, and targets listen where the daemon does by default."""
    text = configuration.options.get(_PORTALS)
    return None if text is None else tuple(parse_portal(item) for item in str(text).split(",") if item)


def parse_portal(text: str) -> Portal:
    """ADDRESS[:PORT], IPv6 addresses in brackets; raises `Refused`."""
    match = _PORTAL.fullmatch(text)
    try:
        if match:
            return Portal(match["bracketed"] or match["plain"], int(match["port"] or 3260))
    except ConfigurationError:
        pass
    raise Refused(Status.INVALID_REQUEST, f"{text!r} is not a portal")


def new_portal(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Listen there, too: for every target that tgtadm has made or makes. The newest is shown first."""

    def added(present: tuple[Portal, ...], portal: Portal) -> tuple[Portal, ...]:
        if portal in present:
            raise Refused(Status.INVALID_REQUEST, f"{portal} is there already")
        return (portal, *present)

    return _changed(configuration, request, around, added)


def delete_portal(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Do not any more. The last one stays: without any, the default portals would be back."""

    def removed(present: tuple[Portal, ...], portal: Portal) -> tuple[Portal, ...]:
        if portal not in present or len(present) == 1:
            raise Refused(Status.INVALID_REQUEST, f"{portal} is not there, or the last one")
        return tuple(known for known in present if known != portal)

    return _changed(configuration, request, around, removed)


def _changed(
    configuration: Configuration,
    request: Request,
    around: Surroundings,
    change: Callable[[tuple[Portal, ...], Portal], tuple[Portal, ...]],
) -> Configuration:
    present = tgt_portals(configuration)
    portals = around.default_portals if present is None else present
    defaults: dict[str, Value | None] = {}
    for name, value in _items(request.text):
        if name == "portal":
            portals = change(portals, parse_portal(value))
        elif name in _DEFAULTS:
            defaults[_DEFAULTS[name]] = numeral(value)
    options = with_options(configuration.options, {_PORTALS: ",".join(map(str, portals)), **defaults})
    targets = {name: _listening(target, portals) for name, target in configuration.targets.items()}
    return dataclasses.replace(configuration, options=options, targets=targets)


def _items(text: str | None) -> list[tuple[str, str]]:
    items = list(assignments(text))
    if not any(name == "portal" for name, _ in items):
        raise Refused(Status.INVALID_REQUEST, "no portal is named")
    return items


def _listening(target: Target, portals: tuple[Portal, ...]) -> Target:
    if TID not in target.options or not target.portal_groups:
        return target
    group = dataclasses.replace(target.portal_groups[0], portals=portals)
    return dataclasses.replace(target, portal_groups=(group, *target.portal_groups[1:]))
