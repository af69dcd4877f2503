"""What a service manager gives and wants (sd_notify(3), sd_listen_fds(3)): a few datagrams and numbers."""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

__all__ = ["ServiceManager"]

_FIRST_DESCRIPTOR: Final = 3


class ServiceManager:
    """Tells the service manager that started this process how it is; nobody is told if none did."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Takes what is meant for this process out of `environment`, so that no child takes it for its own."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        mine = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environment.pop("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(period) / 1e6 if mine and period.isdigit() else None
        """Within which it has to be told that all is well; None: it does not want that."""
        mine = environment.pop("LISTEN_PID", "") == str(os.getpid())
        count = environment.pop("LISTEN_FDS", "0")
        environment.pop("LISTEN_FDNAMES", None)
        self.sockets = _inherited(int(count)) if mine and count.isdigit() else []
        """Listening sockets that it has made for this process."""

    def ready(self) -> None:
        """Everything serves."""
        self._notify("READY=1")

    def reloading(self, microseconds: int) -> None:
        """The configuration is read again; `microseconds` of the monotonic clock. `ready` ends it."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """It ends."""
        self._notify("STOPPING=1")

    def alive(self) -> None:
        """All is well."""
        self._notify("WATCHDOG=1")

    def status(self, text: str) -> None:
        """A line for people."""
        self._notify(f"STATUS={text}")

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # Whoever does not listen any more need not be told.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
            sock.send(message.encode())


def _inherited(count: int) -> list[socket.socket]:
    sockets = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count):
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets
