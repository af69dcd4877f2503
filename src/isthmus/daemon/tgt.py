"""What of the daemon tgtadm sees."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable

from isthmus.compat.tgt.face import Face
from isthmus.compat.tgt.machine import ServiceMachine
from isthmus.compat.tgt.places import Surroundings
from isthmus.compat.tgt.server import TgtServer
from isthmus.config.model import Portal
from isthmus.management.service import Service
from isthmus.server.configured_server import ConfiguredServer
from isthmus.server.machine import machine_serial
from isthmus.server.options import Portal as ServedPortal

__all__ = ["TgtFace", "tgt_server"]


class TgtFace:
    """What answers tgtadm, and a process by which `pidof` finds tgtd: tgt-setup-lun looks for one before it asks."""

    def __init__(self, server: TgtServer) -> None:
        self._server = server
        self._named_tgtd: subprocess.Popen[bytes] | None = None

    def start(self, end_daemon: Callable[[], None]) -> None:
        """See `TgtServer.start`."""
        self._server.start(end_daemon)
        program = shutil.which("cat")
        if program is not None:
            # It reads what nobody writes, and so ends with us, however we end.
            self._named_tgtd = subprocess.Popen(
                ["tgtd"],  # noqa: S607  a name, not a path: `executable` is what runs
                executable=program,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    async def stop(self) -> None:
        """See `TgtServer.stop`."""
        await self._server.stop()
        if self._named_tgtd is not None:
            self._named_tgtd.kill()
            self._named_tgtd.communicate()


def tgt_server(
    sock: socket.socket, service: Service, server: ConfiguredServer, default_portals: Iterable[ServedPortal]
) -> TgtFace:
    """What answers tgtadm at `sock`, once it is started; targets that name no portal are at `default_portals`."""
    machine = ServiceMachine(service, server.directory, server.engine, server.disks)
    portals = tuple(Portal(portal.address, portal.port) for portal in default_portals)
    face = Face(machine, Surroundings(new_serial=machine_serial, default_portals=portals))
    return TgtFace(TgtServer(sock, face))
