"""Isthmus in a container, as the Dockerfile and compose.yaml have it: built, administered, used, killed and started again."""

import time
from collections.abc import Iterator

import pytest

from tests.interop.vm.container import Composition, composition, docker, why_no_containers
from tests.interop.vm.guest import Guest
from tests.support.clients import run_client
from tests.support.daemon import free_port

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]

TARGET = "iqn.2026-05.com.example:box"
MAX_IMAGE_BYTES = 150_000_000
HEALTHY_SECONDS = 300
SESSION = (
    "backstores/fileio create disk01 /srv/iscsi/disk01.img 256M",
    f"iscsi/ create {TARGET}",
    f"iscsi/{TARGET}/tpg1/ set attribute authentication=0",
    f"iscsi/{TARGET}/tpg1/ set attribute generate_node_acls=1",
    f"iscsi/{TARGET}/tpg1/luns/ create /backstores/fileio/disk01",
    "saveconfig",
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """The composition, built and not yet up."""
    if reason := why_no_containers():
        pytest.skip(reason)
    with composition(tmp_path_factory.mktemp("context"), free_port()) as made:
        yield made


def up(box: Composition) -> None:
    """Start it, or start it again, and wait until it says that it is well."""
    box.compose("up", "-d")
    deadline = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < deadline:
        if box.is_well():
            return
    raise AssertionError(box.compose("logs"))


def io(box: Composition, *commands: str) -> str:
    """qemu-io on the disk, from outside the container."""
    parts = [part for command in commands for part in ("-c", command)]
    return run_client(["qemu-io", "-f", "raw", *parts, f"iscsi://127.0.0.1:{box.port}/{TARGET}/0"]).stdout


def test_the_image_is_small(box: Composition) -> None:
    """Less than 150 MB, all of it: nothing is in a layer below that is deleted in one above."""
    assert int(docker("image", "inspect", "-f", "{{.Size}}", "isthmus")) < MAX_IMAGE_BYTES


def test_what_is_written_outlives_the_container(box: Composition, guest: Guest) -> None:
    """Administered by the shell inside, used by libiscsi and the kernel outside, killed, and started again."""
    up(box)
    box.shell(*SESSION)
    io(box, "write -P 0x5a 0 64k", "flush")
    out = guest.run(
        f"""
        target {TARGET} {guest.portal(box.port)}
        iscsiadm -m discovery -t st -p "$PORTAL"
        login
        DISK=$(disk)
        dd if=$DISK bs=64k count=1 iflag=direct status=none | tr -d '\\132' | wc -c
        dd if=/dev/zero of=$DISK bs=64k seek=1 count=1 oflag=direct conv=fsync status=none
        printf kept | dd of=$DISK bs=64k seek=1 oflag=direct,sync conv=sync,notrunc iflag=fullblock status=none
        logout
        """
    )
    assert f"{guest.portal(box.port)},1 {TARGET}" in out
    assert "\n0\n" in out
    docker("kill", box.container)
    up(box)
    io(box, "read -P 0x5a 0 64k")
    assert "6b 65 70 74" in io(box, "read -v 64k 512")


def test_the_container_has_no_privileges(box: Composition) -> None:
    """Its own user, a root file system that nobody writes to, no capability, a network of its own."""
    up(box)
    facts = box.inspect()
    host = facts["HostConfig"]
    assert facts["Config"]["User"] == "3260:3260"
    assert (host["Privileged"], host["ReadonlyRootfs"], host["CapDrop"]) == (False, True, ["ALL"])
    assert host["NetworkMode"] != "host"
    status = docker("exec", box.container, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_it_stops_in_order(box: Composition) -> None:
    """As quickly as a container has to: the sessions are ended, and the status is 0."""
    up(box)
    box.compose("stop")
    state = box.inspect()["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
