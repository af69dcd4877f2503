"""`user`: what LIO leaves to a program of its own (TCMU), by handler and configuration, `HANDLER/CONFIGURATION`.

The handler `file`, raw bytes in a file, is served as `fileio` does. There is no TCMU here, so the others cannot be: each
is refused with the way on which its storage can be served nevertheless. Whoever provides a kind of backstore of their own
does so through the entry points (`registry`).
"""

from dataclasses import replace
from typing import Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import ConfigurationError

__all__ = ["UserBackstore", "other_way"]

_FILE: Final = "file"
_OTHER_WAYS: Final = {
    "qcow": "attach it with qemu-nbd and serve /dev/nbdN as block, or convert it with qemu-img convert -O raw",
    "rbd": "map it with rbd map and serve /dev/rbdN as block",
    "glfs": "mount the volume and serve the file as fileio",
    "fbo": "there are no optical drives; serve the image as fileio, read-only",
    "zbc": "there are no zoned disks; serve a file as fileio",
}
_NO_TCMU: Final = "there is no TCMU here; serve its storage as fileio or block"


def other_way(config: str) -> str:
    """How the storage of a configuration can be served that cannot be served as it is; empty: it can."""
    handler = config.partition("/")[0]
    return "" if handler == _FILE else _OTHER_WAYS.get(handler, _NO_TCMU)


class UserBackstore:
    """Knows which handler can be served."""

    @classmethod
    def open(cls, spec: BackstoreSpec) -> Backstore:
        """Open what the option `config` names; raises `ConfigurationError` with the remedy for what cannot be."""
        handler, _, rest = spec.options.get("config", "").partition("/")
        if not handler:
            raise ConfigurationError(
                f"{spec.path} has no config", "name a handler and its storage, like file//srv/disk.img"
            )
        if handler != _FILE:
            raise ConfigurationError(f"user:{handler} cannot be served", other_way(handler))
        if not rest.startswith("/"):
            raise ConfigurationError(f"{rest!r} is not an absolute path", "write file//srv/disk.img")
        return FileBackstore.open(replace(spec, kind="fileio", path=rest))
