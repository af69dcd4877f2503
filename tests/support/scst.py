"""Files of SCST, read as on a machine that has what the test says."""

from collections.abc import Mapping

from isthmus.compat.importer import Imported, Surroundings
from isthmus.compat.scst.reader import read
from isthmus.config.model import PortalGroup
from isthmus.errors import ConfigurationError

__all__ = ["FILE", "imported", "only_group", "surroundings"]

FILE = "/etc/scst.conf"


def surroundings(
    *, texts: Mapping[str, str] | None = None, files: Mapping[str, list[str]] | None = None
) -> Surroundings:
    """A machine with these texts by path, and these files by the pattern that finds them."""
    known = texts or {}

    def read_text(path: str) -> str:
        if path not in known:
            raise ConfigurationError(f"{path} cannot be read")
        return known[path]

    return Surroundings(
        new_serial=lambda key: f"serial-of-{key.name}",
        read_text=read_text,
        list_files=lambda pattern: (files or {}).get(pattern, []),
    )


def imported(text: str, machine: Surroundings | None = None) -> Imported:
    """What `isthmus import scst` makes of `text`."""
    return read(text, FILE, machine or surroundings())


def only_group(found: Imported) -> PortalGroup:
    """The portal group of the only target."""
    (target,) = found.configuration.targets.values()
    (group,) = target.portal_groups
    return group
