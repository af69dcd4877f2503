"""Every call of tgtadm's documentation, by the real tgtadm against the real tgtd and against us: status, output and errors.

The calls are those of tgtadm(8), targets.conf(5), README.lu_configuration and README.iscsi, in an order in which they work, and of
each the ways in which it is refused. What must remain different stands with its reason.
"""

import difflib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.cli import main
from tests.support.clients import needs
from tests.support.tgt import Answer, Tgt, our_tgt, real_tgt

IQN = "iqn.2007-04.com.example:san"
MODE_PAGES = (
    "2:0:14:0x80:0x80:0:0xa:0:0:0:0:0:0:0:0:0:0",
    "3:0:22:0:0:0:0:0:0:0:0:1:0:2:0:0:0:0:0:0:0:0:13:0:0",
    "10:0:10:2:0:0:0:0:0:0:0:2:0",
    "0x1c:0:10:8:0:0:0:0:0:0:0:0:0",
    "8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0",
)
UNIT = "--lld iscsi --mode logicalunit --op update --tid 1 --lun 1 --params"
ISER = "what tgtd has beside iSCSI over TCP (iSER) is not here"
STORES = "only the backing stores and device types that mean something here are told of"
ONLY_DISKS = "every device here is a disk: tapes, changers and OSDs are refused"
REFUSED_AT_ONCE = "tgtd takes any text, which then never matches anybody"
REDIRECT_CALLBACK = "no program is run for a login"
ISNS = "there is no iSNS client here, and iSNS=On would say that there is"
STATE = "tgtd knows `state` only in lower case; the scripts of our users have `State`, and mean it"
CONTROLLER = "LUN 0 is only shown: a controller has nothing to set"


@dataclass(frozen=True)
class Call:
    """One call. `$` stands for the directory with the disks."""

    arguments: str
    differs: str = ""
    """Why the answers are not the same; empty: they have to be."""
    ours: Answer | None = None
    """Then: what we answer."""


REFUSED = Answer(22, "", "tgtadm: invalid request\n")
UNSUPPORTED = Answer(22, "", "tgtadm: this operation isn't supported\n")
DONE = Answer(0, "", "")


def table() -> Iterator[Call]:
    """All calls, in order."""
    yield from before_anything()
    yield from targets()
    yield from units()
    yield from parameters_of_units()
    yield from settings()
    yield from access()
    yield from accounts()
    yield from what_has_no_meaning()
    yield from the_end()


def before_anything() -> Iterator[Call]:
    """The system, without a target."""
    for mode in ("target", "account"):
        yield Call(f"--lld iscsi --op show --mode {mode}")
        yield Call(f"--op show --mode {mode}")
    yield Call("--op show --mode sys", STORES)
    yield Call("--op show --mode portal")
    yield Call("--lld iser --op show --mode target")
    yield Call("--lld nonsense --op show --mode target")
    yield Call("--op show --mode lld", ISER, Answer(0, "LLDs:\n    iscsi: ready\n", ""))
    yield Call("--op stat --mode sys")
    yield Call("--lld iscsi --op start --mode lld")


def targets() -> Iterator[Call]:
    """They come, are shown, and go."""
    yield Call(f"--lld iscsi --op new --mode target --tid 1 --targetname {IQN}.one")
    yield Call(f"--lld iscsi --op new --mode target --tid 1 --targetname {IQN}.other")
    yield Call(f"--lld iscsi --op new --mode target --tid 2 --targetname {IQN}.one")
    yield Call("--lld iscsi --op new --mode target --tid 2 --targetname iqn.2007-04.com.example:under_score")
    yield Call(f"--op new --mode target --tid 7 --targetname {IQN}.seven")
    yield Call(f"-C 0 -L iscsi -o new -m tgt -t 3 -T {IQN}.three")
    yield Call("--op show --mode target")
    yield Call("--op show --mode target --tid 1")
    yield Call("--op show --mode target --tid 99")
    yield Call("--op show --mode target --tid 0")
    yield Call("--op delete --mode target --tid 99")
    yield Call("--op delete --force --mode target --tid 7")
    yield Call("--op delete --mode target --tid 3")
    yield Call("--op show --mode lld", ISER, Answer(0, f"LLDs:\n    iscsi: ready\n        Target 1: {IQN}.one\n", ""))
    yield Call("--op stat --mode target --tid 1")
    yield Call("--op stat --mode target --tid 99")
    yield Call("--op delete --mode sys")
    yield Call("--lld iscsi --op stop --mode lld")


def units() -> Iterator[Call]:
    """With every kind of backing store, and the ways in which they are refused."""
    new = "--lld iscsi --op new --mode logicalunit --tid"
    yield Call(f"{new} 1 --lun 1 --backing-store $/one.img")
    yield Call(f"{new} 1 --lun 1 --backing-store $/two.img")
    yield Call(f"{new} 1 --lun 0 --backing-store $/two.img")
    yield Call(f"{new} 99 --lun 1 --backing-store $/two.img")
    yield Call(f"{new} 1 --lun 2 --backing-store $/absent.img")
    yield Call(f"{new} 1 --lun 2 -b $/two.img --blocksize=4096")
    yield Call(f"{new} 1 --lun 3 --bsoflags=sync --backing-store $/three.img")
    yield Call(f"{new} 1 --lun 4 --bsoflags=direct:sync --bstype rdwr --backing-store $/four.img")
    yield Call(f"{new} 1 --lun 5 --bsoflags=nonsense --backing-store $/five.img")
    yield Call(f"{new} 1 --lun 5 --bsoflags=sync --bstype aio --backing-store $/five.img")
    yield Call(f"{new} 1 --lun 5 --bstype aio --backing-store $/five.img --device-type disk")
    yield Call(f"{new} 1 --lun 6 --bstype null --backing-store /nowhere")
    yield Call(f"{new} 1 --lun 7 --bstype nonsense --backing-store $/six.img")
    yield Call(f"{new} 1 --lun 7 --bstype rbd --backing-store=rbdimage --bsopts=conf=/etc/ceph/ceph.conf;id=tgt")
    yield Call(f"{new} 1 --lun 7 --bstype=sg --backing-store=/dev/sg4")
    yield Call(f"{new} 1 --lun 7 --bstype=sg --device-type=pt --backing-store=/dev/sg99")
    yield Call(f"{new} 1 --lun 7 --device-type=pt --backing-store=$/six.img")
    yield Call(f"{new} 1 --lun 8")
    yield Call("--op show --mode target")
    yield Call("--op delete --mode logicalunit --tid 1 --lun 6")
    yield Call("--op delete --mode logicalunit --tid 1 --lun 6")
    yield Call("--op delete --mode logicalunit --tid 99 --lun 6")
    yield Call("--op delete --mode logicalunit --tid 1 --lun 0")
    yield Call("--op stat --mode lu --tid 1 --lun 1")
    yield Call("--op stat --mode lu --tid 1 --lun 9")
    yield Call("--op stat --mode lu --tid 9 --lun 1")
    yield Call("--op show --mode target")


def parameters_of_units() -> Iterator[Call]:
    """LUN PARAMETERS of tgtadm(8)."""
    yield Call(f"{UNIT} vendor_id=TGTD,product_id=VirtualHD,product_rev=0103")
    yield Call(f"{UNIT} scsi_sn=FRED00,scsi_id=IET-fred")
    yield Call(f"{UNIT} removable=1,sense_format=1,online=1")
    yield Call(f"{UNIT} readonly=1")
    yield Call(f"{UNIT} thin_provisioning=1")
    yield Call(f"{UNIT} lbppbe=3,la_lba=0,optimal_xfer_gran=8,optimal_xfer_len=2048")
    yield Call(f"{UNIT} rotation_rate=7200")
    yield Call(f"{UNIT} rotation_rate=1")
    for page in MODE_PAGES:
        yield Call(f"{UNIT} mode_page={page}")
    yield Call(f"{UNIT} mode_page=2:0:14:1:2")
    yield Call(f"{UNIT} vendor_id=QUANTUMCORPORATION")
    yield Call(f"{UNIT} nonsense=1")
    yield Call(f"{UNIT} Online=No")
    yield Call(f"{UNIT} path=$/seven.img")
    yield Call(f"{UNIT} online=0")
    yield Call("--op show --mode target")
    yield Call(f"{UNIT} path=$/seven.img")
    yield Call("--op show --mode target")
    yield Call("--mode logicalunit --op update --tid 1 --lun 8 --params path=$/eight.img")
    yield Call("--mode logicalunit --op update --tid 1 --lun 9 --params online=1")
    yield Call("--mode logicalunit --op update --tid 9 --lun 1 --params online=1")
    yield Call("--mode logicalunit --op update --tid 1 --lun 0 --params vendor_id=X", CONTROLLER, REFUSED)
    yield Call("--op show --mode target")


def settings() -> Iterator[Call]:
    """Of a target."""
    update = "--op update --mode target --tid 1"
    for name, value in (
        ("HeaderDigest", "CRC32C"),
        ("DataDigest", "None"),
        ("DataDigest", "CRC32C,None"),
        ("DataDigest", "MD5"),
        ("MaxRecvDataSegmentLength", "262144"),
        ("MaxXmitDataSegmentLength", "65536"),
        ("InitialR2T", "No"),
        ("ImmediateData", "No"),
        ("ImmediateData", "Perhaps"),
        ("MaxOutstandingR2T", "8"),
        ("FirstBurstLength", "131072"),
        ("MaxBurstLength", "1048576"),
        ("MaxBurstLength", "5"),
        ("DataPDUInOrder", "No"),
        ("DataSequenceInOrder", "No"),
        ("ErrorRecoveryLevel", "2"),
        ("IFMarker", "Yes"),
        ("OFMarker", "Yes"),
        ("DefaultTime2Wait", "5"),
        ("DefaultTime2Retain", "0x10"),
        ("MaxConnections", "16"),
        ("maxconnections", "4"),
        ("MaxQueueCmd", "512"),
        ("MaxQueueCmd", "513"),
        ("MaxOutstandingUnexpectedPDUs", "4"),
        ("RDMAExtensions", "No"),
        ("nop_count", "5"),
        ("nop_interval", "7"),
        ("nonsense", "1"),
        ("state", "offline"),
        ("state", "running"),
    ):
        yield Call(f"{update} --name {name} --value {value}")
    yield Call("--op show --mode target --tid 1")
    yield Call("--op show --mode target")
    yield Call(f"{update} --name State --value ready", STATE, DONE)
    yield Call(f"{update} --name state --value ready")
    yield Call("--op update --mode target --tid 99 --name state --value ready")
    yield Call(f"{update} --name RedirectReason --value Never")
    yield Call(f"{update} --name RedirectCallback --value /bin/true", REDIRECT_CALLBACK, UNSUPPORTED)


def redirection() -> Iterator[Call]:
    """On a target of its own, as tgtd cannot take a callback back."""
    update = "--op update --mode target --tid 5"
    yield Call(f"--op new --mode target --tid 5 --targetname {IQN}.five")
    yield Call(f"{update} --name RedirectAddress --value 10.1.1.7")
    yield Call("--op show --mode target --tid 5")
    yield Call(f"{update} --name RedirectPort --value 3261")
    yield Call(f"{update} --name RedirectReason --value Temporary")
    yield Call("--op show --mode target --tid 5")
    yield Call(f"{update} --name RedirectReason --value Permanent")
    yield Call("--op show --mode target --tid 5")
    yield Call("--op delete --mode target --tid 5")


def access() -> Iterator[Call]:
    """Addresses and names."""
    yield from redirection()
    for operation in ("bind", "bind", "unbind", "unbind", "bind"):
        for rule in ("address ALL", "address 192.168.1.0/24", "address 192.168.1.2", "address fe80::1"):
            yield Call(f"--lld iscsi --op {operation} --mode target --tid 1 --initiator-{rule}")
        yield Call(f"--lld iscsi --op {operation} --mode target --tid 1 --initiator-name {IQN}.host")
    yield Call("--op bind --mode target --tid 99 --initiator-address ALL")
    yield Call("--op bind --mode target --tid 1 --initiator-address nonsense/", REFUSED_AT_ONCE, REFUSED)
    yield Call("--op unbind --mode target --tid 1 --initiator-address nonsense/", REFUSED_AT_ONCE, REFUSED)
    yield Call("--op show --mode target")
    yield Call("--op unbind --mode target --tid 99 --initiator-address ALL")


def accounts() -> Iterator[Call]:
    """CHAP AUTHENTICATION of tgtadm(8)."""
    yield Call("--lld iscsi --op new --mode account --user ronnie --password password")
    yield Call("--lld iscsi --op new --mode account --user ronnie --password password")
    yield Call("--lld iscsi --op new --mode account --user second --password se,cr=et#'")
    yield Call("--lld iscsi --op new --mode account --user third --password third")
    yield Call("--lld iscsi --op show --mode account")
    for operation in ("bind", "unbind", "unbind", "bind", "bind"):
        yield Call(f"--lld iscsi --op {operation} --mode account --tid 1 --user ronnie")
        yield Call(f"--lld iscsi --op {operation} --mode account --tid 1 --user third --outgoing")
    yield Call("--lld iscsi --op bind --mode account --tid 1 --user second")
    yield Call("--lld iscsi --op bind --mode account --tid 1 --user second --outgoing")
    yield Call("--lld iscsi --op bind --mode account --tid 1 --user nobody")
    yield Call("--lld iscsi --op bind --mode account --tid 99 --user ronnie")
    yield Call("--lld iscsi --op show --mode target")
    yield Call("--lld iscsi --op bind --mode account --user ronnie")
    yield Call("--lld iscsi --op bind --mode account --user third --outgoing")
    yield Call("--op show --mode sys", STORES)
    yield Call("--lld iscsi --op unbind --mode account --user ronnie")
    yield Call("--lld iscsi --op delete --mode account --user third")
    yield Call("--lld iscsi --op delete --mode account --user third")
    yield Call("--lld iscsi --op show --mode target")
    yield Call("--lld iscsi --op show --mode account")


def what_has_no_meaning() -> Iterator[Call]:
    """Sessions that are not there, modes without such an operation, the system."""
    for call in (
        "--op show --mode conn --tid 1",
        "--op show --mode conn --tid 99",
        "--op show --mode conn",
        "--op stat --mode conn --tid 1 --sid 5 --cid 0",
        "--op delete --mode conn --tid 1 --sid 2 --cid 0",
        "--op delete --mode conn --tid 99 --sid 2 --cid 0",
        "--op stat --mode sess --sid 5",
        "--op show --mode sess --sid 5",
        "--op new --mode sess --sid 5",
        "--op update --mode sys --name iSNSServerIP --value 192.168.11.133",
        "--op update --mode sys --name iSNSServerPort --value 3206",
        "--op update --mode sys --name iSNSAccessControl --value On",
        "--op update --mode sys --name iSNS --value Off",
        "--op update --mode sys --name iSNS --value Perhaps",
        "--op update --mode sys --name nonsense --value 1",
        "--op update --mode sys --name debug --value on",
        "--op update --mode sys --name debug --value perhaps",
        "--op update --mode sys --name State --value offline",
        "--op update --mode sys --name State --value nonsense",
    ):
        yield Call(call)
    yield Call("--op update --mode sys --name iSNS --value On", ISNS, UNSUPPORTED)
    yield Call("--op show --mode sys", STORES)
    yield Call("--op update --mode sys --name State --value ready")
    yield Call("--op update --mode sys --name debug --value off")
    yield Call("--op new --mode portal --param portal=127.0.0.2:13999")
    yield Call("--op new --mode portal --param portal=127.0.0.2:13999")
    yield Call("--op new --mode portal --param portal=[::1")
    yield Call("--op new --mode portal --param nonsense=1")
    yield Call("--op show --mode portal")
    yield Call("--op delete --mode portal --param portal=127.0.0.2:13999")
    yield Call("--op delete --mode portal --param portal=127.0.0.2:13999")
    yield Call("--op new --mode logicalunit --tid 1 --lun 20 --device-type cd --backing-store $/tape.img")
    yield Call("--op delete --mode logicalunit --tid 1 --lun 20")
    for kind in ("tape", "changer", "osd", "ssc"):
        new = f"--op new --mode logicalunit --tid 1 --lun 20 --device-type {kind} --backing-store $/tape.img"
        yield Call(new, ONLY_DISKS, REFUSED)
        yield Call("--op delete --mode logicalunit --tid 1 --lun 20", ONLY_DISKS)


def the_end() -> Iterator[Call]:
    """Nothing is left."""
    yield Call("--op delete --mode target --tid 1")
    yield Call("--op show --mode target")
    yield Call("--op show --mode account")
    yield Call("--op stat --mode sys")
    yield Call("--op delete --mode sys")
    yield Call("--op show --mode sys", "tgtd's socket has no daemon behind it any more; ours neither")


def normalized(tgt: Tgt, answer: Answer) -> Answer:
    """Without what must differ: where the disks are, and the port that was free."""
    output = answer.output.replace(str(tgt.directory), "$")
    return Answer(answer.status, re.sub(r"127\.0\.0\.1:\d+", "PORTAL", output), answer.errors)


def difference(expected: Answer, found: Answer) -> str:
    """Line by line."""
    one, other = (
        [f"status {answer.status}", *answer.output.splitlines(), answer.errors] for answer in (expected, found)
    )
    return "\n".join(difflib.unified_diff(one, other, "wanted", "ours", lineterm="", n=1))


@needs("tgtd", "tgtadm")
def test_every_documented_call(tmp_path: Path) -> None:
    """The same status, output and errors; what differs is in the table, and is as the table says."""
    wrong = []
    with ExitStack() as stack:
        sides = [stack.enter_context(start(tmp_path / name)) for name, start in (("tgtd", real_tgt), ("ours", our_tgt))]
        for name in ("one", "two", "three", "four", "five", "six", "seven", "eight", "tape"):
            for side in sides:
                side.disk(f"{name}.img")
        for call in table():
            theirs, ours = (
                normalized(side, side.tgtadm(*call.arguments.replace("$", str(side.directory)).split(" ")))
                for side in sides
            )
            expected = theirs if not call.differs else call.ours or ours
            if ours != expected:
                wrong.append(f"{call.arguments}\n{difference(expected, ours)}")
            if call.ours is not None and theirs == ours:
                wrong.append(f"{call.arguments}: it does not differ any more")
    assert not wrong, "\n".join(wrong)


@needs("tgtd", "tgtadm")
def test_our_own_tgtadm_is_as_the_real_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on a real tgtd: the same status, output and errors for every call."""
    wrong = []
    with ExitStack() as stack:
        theirs, ours = (stack.enter_context(real_tgt(tmp_path / name)) for name in ("theirs", "ours"))
        for number in ("one", "two", "three", "four", "five", "six", "seven", "eight", "tape"):
            theirs.disk(f"{number}.img")
            ours.disk(f"{number}.img")
        monkeypatch.setenv("TGT_IPC_SOCKET", str(ours.prefix))
        for call in (*table(), *(Call(line) for line in WRONG)):
            if "127.0.0.2" in call.arguments or (call.arguments.endswith("--mode sys") and "delete" in call.arguments):
                continue  # one address for two daemons; the end of one
            arguments = call.arguments.replace("$", "{}").split(" ")
            expected = normalized(theirs, theirs.tgtadm(*(each.format(theirs.directory) for each in arguments)))
            status = main.run(["tgtadm", *(each.format(ours.directory) for each in arguments)])
            found = normalized(ours, Answer(status, *capfd.readouterr()))
            if found != expected:
                wrong.append(f"{call.arguments}\n{difference(expected, found)}")
    assert not wrong, "\n".join(wrong)


WRONG = (
    "--mode target",
    "--op show",
    "--op show --mode nonsense",
    "--op nonsense --mode sys",
    "--op new --mode sys",
    "--op show --mode lu --tid 1 --lun 1",
    "--op new --mode target -T iqn.a",
    "--op new --mode target --tid 0 -T iqn.a",
    "--op new --mode target --tid 1",
    "--op new --mode target --tid 1 -T a --lun 1",
    "--op new --mode account --user a",
    "--op bind --mode account --tid 1",
    "--op new --mode lu --tid 1",
    "--op new --mode portal",
    "--op update --mode target --tid 1 --name x",
    "--op show --mode sys extra",
)
"""Calls that tgtadm itself refuses."""
