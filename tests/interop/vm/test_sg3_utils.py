"""sg3-utils against the kernel's disk: what they decode, and what they change."""

import re
from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import about
from tests.support.server import Serve

COMPLAINT = re.compile(
    r"(?i)malformed|too short|truncat(?!ed after)|unexpected|invalid|illegal|reserved|should be|not match|inconsistent"
    r"|contradict|bad |\bfail|\berror:|<<|\?\?\?|unable|cannot|unknown (?!\))|unrecogni[sz]ed|not supported"
)
"""What a decoder says of data that it does not understand, or of a command that was refused."""

NO_COMPLAINT = (
    "failure details",
    "exit failure mode",
    "Inline data not supported",
    "multiple ports",
    "percentages not supported",
    "mapped (or unknown)",
    "<< Reservation holder >>",
)
"""What they say of good data, with such words in it."""

ASK = """
login
DISK=$(disk)
ask() { echo "# $*"; "$@" 2>&1; }
"""


def complaints(output: str) -> list[str]:
    """The lines in which a tool complains."""
    return [
        line
        for line in output.splitlines()
        if COMPLAINT.search(line) and not any(part in line for part in NO_COMPLAINT)
    ]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="disk"),
        pytest.param(["--block-size", "4096"], id="4096", marks=pytest.mark.thorough),
        pytest.param(["--removable"], id="removable", marks=pytest.mark.thorough),
        pytest.param(["--read-only"], id="read-only", marks=pytest.mark.thorough),
    ],
)
def test_inquiries_are_decoded(serve: Serve, guest: Guest, medium: Path, options: list[str]) -> None:
    """Every page, parameter and list that a disk tells is decoded without a complaint."""
    server = serve(medium, *options)
    out = guest.run(
        about(server, guest)
        + ASK
        + """
        GENERIC=/dev/$(ls "/sys/block/${DISK#/dev/}/device/scsi_generic")
        ask sg_inq "$GENERIC"
        ask sg_inq --vpd "$GENERIC"
        ask sg_vpd --all "$GENERIC"
        ask sg_modes --all "$GENERIC"
        ask sg_modes --all --control=1 "$GENERIC"
        ask sg_modes --all --control=2 "$GENERIC"
        ask sg_modes --all --six "$GENERIC"
        ask sg_logs --all "$GENERIC"
        ask sg_opcodes "$GENERIC"
        ask sg_opcodes --rctd "$GENERIC"
        ask sg_opcodes --tmf --repd "$GENERIC"
        ask sg_readcap "$GENERIC"
        ask sg_readcap --long "$GENERIC"
        ask sg_luns "$GENERIC"
        ask sg_turs "$GENERIC"
        ask sg_requests "$GENERIC"
        ask sg_persist --report-capabilities "$GENERIC"
        ask sg_persist --read-keys "$GENERIC"
        ask sg_persist --read-reservation "$GENERIC"
        ask sg_persist --read-full-status "$GENERIC"
        ask sg_get_lba_status "$GENERIC"
        ask sg_get_lba_status --lba=0 --maxlen=4096 "$GENERIC"
        ask sg_rtpg --decode "$GENERIC"
        ask sg_rtpg --decode --extended "$GENERIC"
        ask sg_copy_results --params "$GENERIC"
        ask sg_timestamp "$GENERIC"
        ask sg_ident "$GENERIC"
        ask sg_senddiag --list "$GENERIC"
        ask sg_ses "$GENERIC"
        ask sg_read_buffer --mode=desc "$GENERIC"
        ask sg_reassign --grown "$GENERIC"
        logout
        """
    )
    assert not complaints(out), "\n".join(complaints(out))
    block_size = "4096" if "4096" in options else "512"
    assert f"Logical block length={block_size} bytes" in out
    assert "Vendor identification: ISTHMUS" in out
    assert f"RMB={int('--removable' in options)}" in out
    assert ("WP=1" in out) == ("--read-only" in options)


def test_writing_commands(serve: Serve, guest: Guest, medium: Path) -> None:
    """Each command that writes, erases, compares or copies changes what it should, as the file shows."""
    server = serve(medium)
    guest.run(
        about(server, guest)
        + "start_udev\n"
        + ASK
        + """
        block() { head -c $((512 * ${2:-1})) /dev/zero | tr '\\0' "$1"; }
        holds() { cmp -n $((512 * ${3:-1})) <(block "$1" "${3:-1}") <(dd if="$DISK" bs=512 skip="$2" count="${3:-1}" iflag=direct status=none); }
        is_zero() { holds '\\0' "$1" "$2"; }
        status() { sg_get_lba_status --lba="$1" --brief --brief "$DISK"; }

        block A 64 > /tmp/a
        ask sg_dd if=/tmp/a of="$DISK" bs=512 count=64 oflag=sgio
        holds A 0 64

        ask sg_unmap --force --lba=0 --num=8 "$DISK"
        is_zero 0 8
        [ "$(status 0)" = 1 ]
        [ "$(status 8)" = 0 ]

        block B > /tmp/b
        ask sg_write_same --10 --lba=0 --num=16 --in=/tmp/b --xferlen=512 "$DISK"
        holds B 0 16
        ask sg_write_same --16 --lba=16 --num=16 --in=/tmp/b --xferlen=512 "$DISK"
        ask sg_write_same --32 --lba=32 --num=16 --in=/tmp/b --xferlen=512 "$DISK"
        holds B 16 32
        ask sg_write_same --16 --unmap --lba=16 --num=8 "$DISK"
        is_zero 16 8
        [ "$(status 16)" = 1 ]
        ask sg_write_same --16 --ndob --lba=24 --num=8 "$DISK"
        is_zero 24 8

        { block B; block C; } > /tmp/compare-and-write
        ask sg_compare_and_write --in=/tmp/compare-and-write --lba=0 --num=1 "$DISK"
        holds C 0
        fails sg_compare_and_write --quiet --in=/tmp/compare-and-write --lba=0 --num=1 "$DISK" 2> /tmp/miscompare
        holds C 0

        ask sg_verify --lba=0 --count=64 "$DISK"
        block C > /tmp/c
        ask sg_verify --lba=0 --count=1 --ndo=512 --in=/tmp/c "$DISK"
        fails sg_verify --quiet --lba=0 --count=1 --ndo=512 --in=/tmp/b "$DISK" 2> /dev/null
        block D > /tmp/d
        ask sg_write_verify --lba=1 --num=1 --in=/tmp/d "$DISK"
        holds D 1
        block D 8 > /tmp/d8
        ask sg_write_x --atomic=0 --16 --lba=8 --num=8 --in=/tmp/d8 "$DISK"
        holds D 8 8
        block '\\040' > /tmp/space
        ask sg_write_x --or --16 --lba=1 --num=1 --in=/tmp/space "$DISK"
        holds d 1

        ask sg_xcopy if="$DISK" of="$DISK" bs=512 skip=8 seek=1024 count=8 id_usage=disable
        holds D 1024 8
        ask sg_sync "$DISK"
        no_kernel_complaint
        logout
        """
    )
    data = medium.read_bytes()
    assert data[:1024] == b"C" * 512 + b"d" * 512
    assert data[8 * 512 : 16 * 512] == data[1024 * 512 : 1032 * 512] == b"D" * (8 * 512)
    assert data[32 * 512 : 48 * 512] == b"B" * (16 * 512)


def test_access_states(serve: Serve, guest: Guest, medium: Path) -> None:
    """SET TARGET PORT GROUPS changes what REPORT TARGET PORT GROUPS tells, and the kernel's ALUA handler takes it up."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + "modprobe scsi_dh_alua\n"
        + ASK
        + """
        state() { cat "/sys/block/${DISK#/dev/}/device/access_state"; }
        echo "first $(state)"
        sg_stpg --active "$DISK" > /dev/null
        sg_rtpg --decode "$DISK"
        sg_turs "$DISK" || true
        echo 1 > "/sys/block/${DISK#/dev/}/device/rescan"
        dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct status=none
        for tries in $(seq 100); do [ "$(state)" = active/non-optimized ] && break; sleep 0.1; done
        echo "then $(state)"
        sg_stpg --optimized "$DISK" > /dev/null
        no_kernel_complaint
        logout
        """
    )
    assert "first active/optimized" in out
    assert "asymmetric access state : 0x01 (active/non optimized)" in out
    assert "then active/non-optimized" in out


def test_reservations(serve: Serve, guest: Guest, medium: Path) -> None:
    """Registering, reserving and releasing as cluster agents do it, with all that is told about it."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + ASK
        + """
        ask sg_persist --out --register-ignore --param-sark=0xabc "$DISK"
        ask sg_persist --out --reserve --param-rk=0xabc --prout-type=5 "$DISK"
        ask sg_persist --read-keys "$DISK"
        ask sg_persist --read-reservation "$DISK"
        ask sg_persist --read-full-status "$DISK"
        ask sg_persist --out --release --param-rk=0xabc --prout-type=5 "$DISK"
        ask sg_persist --out --clear --param-rk=0xabc "$DISK"
        echo "left: $(sg_persist --read-keys "$DISK" | tail -1)"
        logout
        """
    )
    assert not complaints(out), "\n".join(complaints(out))
    assert "1 registered reservation key follows" in out
    assert "type: Write Exclusive, registrants only" in out
    assert "iSCSI world wide unique port id: iqn.2026-01.com.example:guest,i,0x" in out
    assert "there are NO registered reservation keys" in out.partition("left: ")[2]


@pytest.mark.thorough
def test_sanitize_and_format(serve: Serve, guest: Guest, medium: Path) -> None:
    """Erasing empties the disk and tells of its progress; formatting too, and the disk can be used again."""
    medium.write_bytes(b"\x5a" * (32 << 20))
    server = serve(medium)
    guest.run(
        about(server, guest)
        + ASK
        + """
        holds_nothing() { cmp -n 33554432 /dev/zero <(dd if="$DISK" bs=1M count=32 iflag=direct status=none); }
        ask sg_sanitize --block --quick --wait "$DISK"
        holds_nothing
        head -c 1M /dev/urandom | dd of="$DISK" bs=64k iflag=fullblock oflag=direct status=none
        ask sg_sanitize --overwrite --zero --quick --early "$DISK"
        for tries in $(seq 200); do sg_turs "$DISK" > /dev/null 2>&1 && break; sleep 0.1; done
        ask sg_turs "$DISK"
        # The kernel may have asked for the capacity meanwhile, and been refused.
        echo 1 > "/sys/block/${DISK#/dev/}/device/rescan"
        holds_nothing
        ask sg_format --format --quick --wait "$DISK"
        ask sg_turs "$DISK"
        holds_nothing
        logout
        """
    )
    assert medium.read_bytes().count(0) == 32 << 20
