"""dm-multipath over two paths to one disk: a path is lost and comes back, then both."""

from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.relay import running_relay
from tests.support.server import running_server

pytestmark = pytest.mark.thorough

PATIENCE = 180.0
MIB = 1 << 20

LOAD = """
start_multipath
for PORTAL in $PORTALS; do
    login node.session.timeo.replacement_timeout 3 \\
        'node.conn[0].timeo.noop_out_interval' 1 'node.conn[0].timeo.noop_out_timeout' 2
done
wait_for_paths 2
multipath -ll
MAP=$(map)
[ -b "$MAP" ]
echo writing
rounds=0
while [ $rounds = 0 ] || [ ! -e /host/enough ]; do
    verify_with_fio "$MAP" --size=24m
    rounds=$((rounds + 1))
    echo "verified $rounds"
done
rm -f /host/enough
kernel_log > /tmp/kernel.log
fails grep -E 'dm-0.*(I/O error|rejecting)|(I/O error|rejecting).*dm-0' /tmp/kernel.log
stop_multipath
for PORTAL in $PORTALS; do logout; done
"""


def test_paths_are_lost_and_come_back(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """Writes go on over the path that is left, wait when there is none, and all data is as written."""
    with (
        running_server([medium, "--portal", "127.0.0.1:0"], tmp_path) as server,
        running_relay(server.url.port) as first,
        running_relay(server.url.port) as second,
    ):
        portals = f"{guest.portal(first.port)} {guest.portal(second.port)}"
        (guest.share / "enough").unlink(missing_ok=True)
        script = guest.start(f"target {server.url.iqn} ''\nPORTALS='{portals}'\n{LOAD}")
        script.wait_for("writing\n", PATIENCE)

        first.wait_for(MIB, PATIENCE)
        first.block()
        guest.run("wait_for_paths 1", seconds=PATIENCE)
        second.wait_for(2 * MIB, PATIENCE)

        first.unblock()
        guest.run("wait_for_paths 2", seconds=PATIENCE)
        first.wait_for(MIB, PATIENCE)

        first.block()
        second.block()
        guest.run("wait_for_paths 0", seconds=PATIENCE)
        second.unblock()
        guest.run("wait_for_paths 1", seconds=PATIENCE)
        second.wait_for(2 * MIB, PATIENCE)
        first.unblock()
        guest.run("wait_for_paths 2", seconds=PATIENCE)

        (guest.share / "enough").touch()
        script.wait(PATIENCE * 2)
