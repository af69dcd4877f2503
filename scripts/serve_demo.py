"""Serve demo.img on this machine alone, and say what to type next: what `make serve` does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DISK = Path(os.environ.get("DISK", "demo.img"))
SIZE = os.environ.get("SIZE", "1G")
PORTAL = os.environ.get("PORTAL", "127.0.0.1:3260")
ONE_WISH = 1.0
"""Seconds."""
NAME = "iqn.2026-01.org.isthmus:demo"

NEXT = """\
The disk is on the network. In another terminal (after each #, the Debian package):

  .venv/bin/isthmus initiator inquiry {url}

  iscsi-ls -s iscsi://{portal}                      # libiscsi-bin
  qemu-img info {url}                               # qemu-utils, qemu-block-extra

  iscsiadm -m discovery -t sendtargets -p {portal}  # open-iscsi, as root
  iscsiadm -m node -T {name} -p {portal} --login

Ctrl-C stops it. The disk stays in {disk}."""


def command() -> list[str]:
    """Make the disk if it is absent, and take it with whatever size it has otherwise."""
    size = [] if DISK.exists() else ["--size", SIZE]
    isthmus = Path(sys.executable).with_name("isthmus")
    return [str(isthmus), "serve", str(DISK), *size, "--portal", PORTAL, "--iqn", NAME]


class Forwarder:
    """Hands signals on to the server, which takes a second one as "at once".

    One wish to stop can arrive twice here, from the terminal and from make, so what follows within a second is the
    same wish.
    """

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        """Forward to `server` from now on."""
        self._server = server
        self._last = -ONE_WISH
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._forward)

    def _forward(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if now - self._last >= ONE_WISH:
            self._last = now
            self._server.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)


def main() -> int:
    """Run the server in a process group of its own, so that signals reach it only through here."""
    with subprocess.Popen(command(), stdout=subprocess.PIPE, text=True, process_group=0) as server:
        assert server.stdout is not None
        Forwarder(server)
        for line in server.stdout:
            print(line, end="", flush=True)
            if line.startswith("ready: "):
                url = line.removeprefix("ready: ").strip()
                portal = url.removeprefix("iscsi://").partition("/")[0]
                print(NEXT.format(url=url, portal=portal, name=NAME, disk=DISK), flush=True)
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
