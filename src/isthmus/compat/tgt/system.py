"""What tgtadm sets for the whole, as functions from one configuration to the next."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.parameters import assignments
from isthmus.compat.tgt.places import Surroundings
from isthmus.compat.tgt.session_keys import numeral
from isthmus.compat.tgt.wire import Request
from isthmus.config.model import Configuration

__all__ = ["isns_settings", "update_system"]

_ISNS: Final = "iSNS"
_SETTINGS: Final = {"iSNSServerIP": "", "iSNSServerPort": "3205", "iSNSAccessControl": "Off"}
"""What is kept and shown, with tgtd's defaults."""


def update_system(configuration: Configuration, request: Request, _around: Surroundings) -> Configuration:
    """Keep what tgtd would tell an iSNS server. None is asked here, so iSNS itself cannot be switched on."""
    options = dict(configuration.options)
    for name, value in assignments(request.text):
        if name == _ISNS and value == "Off":
            continue
        if name == _ISNS and value == "On":
            raise Refused(Status.UNSUPPORTED_OPERATION, "there is no iSNS client here")
        if name not in _SETTINGS or not value:
            raise Refused(Status.INVALID_REQUEST, f"there is no setting {name!r}")
        options[f"tgt_{name}"] = _value(name, value)
    return dataclasses.replace(configuration, options=options)


def _value(name: str, value: str) -> str:
    if name == "iSNSServerPort":
        return str(numeral(value))
    return ("On" if value == "On" else "Off") if name == "iSNSAccessControl" else value


def isns_settings(configuration: Configuration) -> Mapping[str, str]:
    """What `show` prints."""
    kept = {name: str(configuration.options.get(f"tgt_{name}", default)) for name, default in _SETTINGS.items()}
    return {_ISNS: "Off", **kept}
