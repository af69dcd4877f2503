"""What open-iscsi can be set to: authentication, digests, and how data is sent."""

from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import CHECKED_EXT4, about
from tests.support.server import Serve

SECRET, MUTUAL_SECRET = "initiator-secret-1", "target-secret-2"
THE_DISK = "DISK=$(disk)\n"

ONE_WAY = f"""\
    node.session.auth.authmethod CHAP \\
    node.session.auth.username guest \\
    node.session.auth.password {SECRET} \\
"""
MUTUAL = f"""{ONE_WAY}\
    node.session.auth.username_in storage \\
    node.session.auth.password_in {MUTUAL_SECRET} \\
"""
WRITE_AND_READ = """
head -c 1M /dev/urandom > /tmp/data
dd if=/tmp/data of="$DISK" bs=64k oflag=direct status=none
drop_caches
cmp -n 1048576 /tmp/data "$DISK"
no_kernel_complaint
"""


@pytest.fixture
def secrets(tmp_path: Path) -> list[str]:
    """Options of a server that wants a name and a secret, and can prove itself."""
    options = ["--chap-user", "guest", "--mutual-user", "storage"]
    for name, secret in (("chap", SECRET), ("mutual", MUTUAL_SECRET)):
        path = tmp_path / name
        path.write_text(secret + "\n")
        path.chmod(0o600)
        options += [f"--{name}-secret-file", str(path)]
    return options


@pytest.mark.parametrize(
    ("settings", "algorithm"),
    [
        pytest.param(settings, algorithm, id=f"{way} {algorithm}", marks=marks)
        for way, settings, algorithm, marks in (
            ("one-way", ONE_WAY, "MD5", ()),
            ("mutual", MUTUAL, "SHA3-256", ()),
            ("one-way", ONE_WAY, "SHA1", pytest.mark.thorough),
            ("one-way", ONE_WAY, "SHA256", pytest.mark.thorough),
            ("one-way", ONE_WAY, "SHA3-256", pytest.mark.thorough),
            ("mutual", MUTUAL, "MD5", pytest.mark.thorough),
            ("mutual", MUTUAL, "SHA1", pytest.mark.thorough),
            ("mutual", MUTUAL, "SHA256", pytest.mark.thorough),
        )
    ],
)
def test_chap(serve: Serve, guest: Guest, medium: Path, secrets: list[str], settings: str, algorithm: str) -> None:
    """With name and secret, and each algorithm that open-iscsi has, one gets in, and can write and read."""
    server = serve(medium, *secrets)
    guest.run(
        about(server, guest)
        + f"login {settings} node.session.auth.chap_algs {algorithm}\n{THE_DISK}{WRITE_AND_READ}logout\n"
    )


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        pytest.param("", 24, id="none"),
        pytest.param(ONE_WAY.replace(SECRET, "wrong-secret-12"), 24, id="wrong secret"),
        pytest.param(ONE_WAY.replace("guest", "nobody"), 24, id="wrong name"),
        pytest.param(MUTUAL.replace(MUTUAL_SECRET, "wrong-secret-34"), 19, id="target cannot prove itself"),
    ],
)
def test_chap_refuses(serve: Serve, guest: Guest, medium: Path, secrets: list[str], settings: str, status: int) -> None:
    """Without the right name and secret there is no session, for open-iscsi's reason: 24 told so, 19 not convinced."""
    server = serve(medium, *secrets)
    out = guest.run(about(server, guest) + f'login {settings} || echo status $?\n[ -z "$(disk_names 0)" ]\n')
    assert f"status {status}\n" in out, out


def test_discovery_with_chap(serve: Serve, guest: Guest, medium: Path, secrets: list[str]) -> None:
    """Discovery and login with name and secret from iscsid.conf, as an administrator sets them."""
    server = serve(medium, *secrets)
    out = guest.run(
        about(server, guest)
        + f"""
        cp /etc/iscsi/iscsid.conf /tmp/iscsid.conf
        trap 'cp /tmp/iscsid.conf /etc/iscsi/iscsid.conf' EXIT
        for what in discovery.sendtargets node.session; do
            echo "$what.auth.authmethod = CHAP"
            echo "$what.auth.username = guest"
            echo "$what.auth.password = {SECRET}"
        done >> /etc/iscsi/iscsid.conf
        iscsiadm -m discovery -t st -p "$PORTAL"
        iscsiadm -m node --login
        {THE_DISK}
        {WRITE_AND_READ}
        logout
        """
    )
    assert server.url.iqn in out


@pytest.mark.parametrize(
    "digest",
    ["CRC32C", *(pytest.param(other, marks=pytest.mark.thorough) for other in ("CRC32C,None", "None,CRC32C", "None"))],
)
def test_digests(serve: Serve, guest: Guest, medium: Path, digest: str) -> None:
    """Digests are negotiated as the initiator prefers, and data is whole under them."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + f"""
        login 'node.conn[0].iscsi.HeaderDigest' {digest} 'node.conn[0].iscsi.DataDigest' {digest}
        {THE_DISK}
        echo "header $(negotiated HeaderDigest)"
        echo "data $(negotiated DataDigest)"
        {WRITE_AND_READ}
        verify_with_fio "$DISK" --size=8m
        no_kernel_complaint
        logout
        """
    )
    chosen = digest.split(",", maxsplit=1)[0]
    assert f"header {chosen}\n" in out
    assert f"data {chosen}\n" in out


@pytest.mark.parametrize(("immediate", "initial_r2t"), [("Yes", "Yes"), ("Yes", "No"), ("No", "Yes"), ("No", "No")])
@pytest.mark.thorough
def test_ways_to_send_data(serve: Serve, guest: Guest, medium: Path, immediate: str, initial_r2t: str) -> None:
    """Data is whole whichever way it is sent: immediate, unsolicited, on request."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + f"""
        login node.session.iscsi.ImmediateData {immediate} node.session.iscsi.InitialR2T {initial_r2t} \\
            node.session.iscsi.FirstBurstLength 16384 node.session.iscsi.MaxBurstLength 65536 \\
            'node.conn[0].iscsi.MaxRecvDataSegmentLength' 8192 'node.conn[0].iscsi.MaxXmitDataSegmentLength' 8192
        {THE_DISK}
        echo "immediate $(negotiated ImmediateData) initial $(negotiated InitialR2T)"
        {WRITE_AND_READ}
        verify_with_fio "$DISK" --size=8m
        no_kernel_complaint
        logout
        """
    )
    assert f"immediate {immediate} initial {initial_r2t}\n" in out


def test_ipv6(serve: Serve, guest: Guest, medium: Path) -> None:
    """Discovery and login over IPv6; the record is made by hand, as ::1 of the host is fec0::2 in the guest."""
    server = serve(medium, "--portal", "[::1]:0")
    out = guest.run(
        f"target {server.url.iqn} '[fec0::2]:{server.url.port}'\n"
        f"""
        ip -6 addr show dev eth0 | grep -q fec0::15/64 || ip -6 addr add fec0::15/64 dev eth0 nodad
        iscsiadm -m discovery -t st -p "$PORTAL"
        login
        {THE_DISK}
        iscsiadm -m session
        {WRITE_AND_READ}
        logout
        """
    )
    assert f"[::1]:{server.url.port},1 {server.url.iqn}" in out
    assert f"[fec0::2]:{server.url.port},1 {server.url.iqn}" in out


def test_blocks_of_4096(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """The kernel takes the block size over, and an ext4 on such a disk is whole."""
    server = serve(disk_file, "--block-size", "4096")
    out = guest.run(
        about(server, guest)
        + f"""
        login
        {THE_DISK}
        echo "blocks of $(cat /sys/block/${{DISK#/dev/}}/queue/logical_block_size)"
        {CHECKED_EXT4}
        logout
        """
    )
    assert "blocks of 4096\n" in out


def test_several_luns(serve: Serve, guest: Guest, tmp_path: Path) -> None:
    """Each file is a disk, in the order of the command line, and each disk is that file."""
    files = [tmp_path / f"{number}.img" for number in range(4)]
    for number, path in enumerate(files):
        path.write_bytes(bytes((0x40 + number,)) * ((number + 1) << 20))
    server = serve(*files, ready_lines=len(files))
    out = guest.run(
        about(server, guest)
        + """
        login
        for lun in 0 1 2 3; do
            DISK=$(disk $lun)
            echo "lun $lun size $(blockdev --getsize64 $DISK) first $(head -c 4 $DISK)"
            printf "written" | dd of=$DISK bs=512 seek=8 conv=sync,fsync status=none
        done
        no_kernel_complaint
        logout
        """
    )
    for number, path in enumerate(files):
        assert f"lun {number} size {(number + 1) << 20} first {chr(0x40 + number) * 4}\n" in out
        assert path.read_bytes()[4096:4103] == b"written"


def test_read_only(serve: Serve, guest: Guest, medium: Path) -> None:
    """The kernel sees that the disk is write-protected, and refuses to write."""
    server = serve(medium, "--read-only")
    guest.run(
        about(server, guest)
        + """
        login
        DISK=$(disk)
        [ "$(blockdev --getro "$DISK")" = 1 ]
        fails dd if=/dev/zero of="$DISK" bs=4k count=1 oflag=direct 2> /dev/null
        logout
        """
    )


def test_two_sessions_of_one_initiator(serve: Serve, guest: Guest, medium: Path) -> None:
    """A second session of the same initiator sees the same disk, and what one writes the other reads."""
    server = serve(medium)
    guest.run(
        about(server, guest)
        + """
        record node.session.nr_sessions 2
        login
        for tries in $(seq 100); do [ "$(disk_names 0 | wc -l)" = 2 ] && break; sleep 0.1; done
        set -- $(disk_names 0)
        [ $# = 2 ]
        head -c 1M /dev/urandom > /tmp/data
        dd if=/tmp/data of=/dev/$1 bs=64k oflag=direct status=none
        cmp -n 1048576 /tmp/data /dev/$2
        [ "$(sg_vpd --page=di /dev/$1 | grep 0x)" = "$(sg_vpd --page=di /dev/$2 | grep 0x)" ]
        logout
        """
    )
