"""dm-multipath over two paths to one disk: they are lost and come back, and it takes the one that the disk prefers."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration, Lun, Portal, PortalGroup, Target
from isthmus.names import IscsiName
from tests.interop.vm.guest import Guest
from tests.interop.vm.relay import running_relay
from tests.support.daemon import Daemon, free_port, running_daemon
from tests.support.server import running_server

pytestmark = pytest.mark.thorough

PATIENCE = 400.0
MIB = 1 << 20

BOTH_WAYS = """
start_multipath
for PORTAL in $PORTALS; do
    login node.session.timeo.replacement_timeout 3 \\
        'node.conn[0].timeo.noop_out_interval' 1 'node.conn[0].timeo.noop_out_timeout' 2
done
"""

ACROSS = """
start_multipath group_by_prio
for PORTAL in $PORTALS; do login; done
"""

WRITING = """
wait_for_paths 2
multipath -ll
MAP=$(map)
[ -b "$MAP" ]
echo writing
rounds=0
while [ $rounds = 0 ] || [ ! -e /host/enough ]; do
    verify_with_fio "$MAP" --size=$SIZE
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
        script = guest.start(f"target {server.url.iqn} ''\nPORTALS='{portals}'\nSIZE=24m\n{BOTH_WAYS}{WRITING}")
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


TARGET = IscsiName("iqn.2026-05.com.example:two-ways")
DISK = BackstoreKey("fileio", "disk")
OPTIMIZED, NON_OPTIMIZED, UNAVAILABLE = 0, 1, 3
"""Values of `alua_access_state`, and those that sg_stpg takes."""

ONE_WAY = """
writes() { awk '{ print $5 }' "/sys/block/$1/stat"; }
used=$(disk_at "$USED") spared=$(disk_at "$SPARED")
is_spared() {
    local on_used=$(writes "$used") on_spared=$(writes "$spared")
    until [ "$(writes "$used")" -gt $((on_used + 30)) ]; do sleep 0.1; done
    [ "$(writes "$spared")" = "$on_spared" ]
}
has_priority() { multipathd show paths raw format '%d %p.' | grep -q "^$1 *$2\\."; }
until is_spared && has_priority "$used" "$PRIORITY"; do
    multipath -ll
    sleep 0.5
done
"""
"""Ends when thirty writes have gone through the portal $USED and none through $SPARED, and $PRIORITY is the first's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TwoWays:
    """A disk behind two portals, each in a portal group and an ALUA group of its own: 1 and 2."""

    daemon: Daemon
    medium: Path
    ports: tuple[int, int]
    parameters: dict[str, int]
    """Of both ALUA groups."""

    def configuration(self, *parameters: dict[str, int]) -> Configuration:
        """With more parameters of the two ALUA groups, as an administrator has them."""
        names = ("one", "two")
        groups = tuple(
            AluaGroup(name=name, alua_group_id=tag, parameters={"nonop_delay_msecs": 0, **self.parameters, **own})
            for tag, (name, own) in enumerate(zip(names, parameters, strict=True), start=1)
        )
        store = Backstore(key=DISK, path=str(self.medium), unit_serial="two-ways", alua_groups=groups)
        portal_groups = tuple(
            PortalGroup(
                tag=tag,
                portals=(Portal("127.0.0.1", port),),
                luns=(Lun(number=0, backstore=DISK, alua_group=name),),
                attributes={"generate_node_acls": 1, "demo_mode_write_protect": 0},
            )
            for tag, (name, port) in enumerate(zip(names, self.ports, strict=True), start=1)
        )
        return Configuration(
            backstores={DISK: store}, targets={TARGET: Target(name=TARGET, portal_groups=portal_groups)}
        )

    def change(self, *parameters: dict[str, int]) -> None:
        """Have the daemon change the ALUA groups, while they are in use."""
        self.daemon.client.change(lambda _: self.configuration(*parameters))


def goes_through(guest: Guest, used: int, spared: int, *, priority: int) -> None:
    """Wait until only the path through the port `used` is written through, and multipath gives it that priority."""
    variables = f"USED={guest.portal(used)}\nSPARED={guest.portal(spared)}\nPRIORITY={priority}\n"
    guest.run(variables + ONE_WAY, seconds=PATIENCE)


@contextlib.contextmanager
def two_ways(guest: Guest, medium: Path, tmp_path: Path, **parameters: int) -> Iterator[TwoWays]:
    """The disk, written to over both ways: the first is optimized at the beginning, the second is not."""
    with running_daemon(tmp_path) as daemon:
        ways = TwoWays(daemon=daemon, medium=medium, ports=(free_port(), free_port()), parameters=parameters)
        ways.change({"alua_access_state": OPTIMIZED}, {"alua_access_state": NON_OPTIMIZED})
        (guest.share / "enough").unlink(missing_ok=True)
        portals = " ".join(map(guest.portal, ways.ports))
        script = guest.start(f"target {TARGET} ''\nPORTALS='{portals}'\nSIZE=4m\n{ACROSS}{WRITING}")
        script.wait_for("writing\n", PATIENCE)
        goes_through(guest, *ways.ports, priority=50)
        yield ways
        (guest.share / "enough").touch()
        script.wait(PATIENCE * 2)
        assert daemon.stop() == 0


def test_the_preferred_path_is_taken(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """Where only the administrator sets the states, writes go the way that he says, and no other."""
    with two_ways(guest, medium, tmp_path, alua_access_type=1) as ways:
        first, second = ways.ports
        ways.change({"alua_access_state": NON_OPTIMIZED}, {"alua_access_state": OPTIMIZED})
        goes_through(guest, second, first, priority=50)
        ways.change({"alua_access_state": NON_OPTIMIZED, "preferred": 1}, {"alua_access_state": NON_OPTIMIZED})
        goes_through(guest, first, second, priority=90)
        ways.change({"alua_access_state": UNAVAILABLE}, {"alua_access_state": NON_OPTIMIZED})
        goes_through(guest, second, first, priority=10)


def test_initiators_choose_the_path(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """Writes go where SET TARGET PORT GROUPS says; the kernel sends one itself for a way that it takes as preferred."""
    with two_ways(guest, medium, tmp_path) as ways:
        first, second = ways.ports
        for one, two, used, spared in ((1, 0, second, first), (0, 1, first, second)):
            guest.run(f"sg_stpg --tp=1,2 --state={one},{two} /dev/$(disk_at {guest.portal(first)})")
            goes_through(guest, used, spared, priority=50)
        ways.change({"alua_access_state": NON_OPTIMIZED}, {"alua_access_state": NON_OPTIMIZED, "preferred": 1})
        goes_through(guest, second, first, priority=50)
