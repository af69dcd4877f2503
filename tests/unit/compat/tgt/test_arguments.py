import shlex

import pytest

from isthmus.compat.tgt.arguments import UsageError, parse_arguments
from isthmus.compat.tgt.wire import GLOBAL_TID, AccountDirection, DeviceType, Mode, Operation, Request


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("--lld iscsi --op show --mode target", Request(mode=Mode.TARGET, operation=Operation.SHOW, lld="iscsi")),
        (
            "-C 7 -o new -m tgt -t3 --targetname=iqn.a",
            Request(mode=Mode.TARGET, operation=Operation.NEW, tid=3, text="targetname=iqn.a"),
        ),
        (
            "--op new --mode lu --tid 1 --lun 2 -b /a -E aio -y 4096 -f sync -S x",
            Request(
                mode=Mode.DEVICE,
                operation=Operation.NEW,
                tid=1,
                lun=2,
                text="path=/a,bstype=aio,bsopts=x,bsoflags=sync,blocksize=4096",
            ),
        ),
        (
            "--op new --mode lu --tid 1 --lun 2 -b /a -Y tape -E aio",
            Request(
                mode=Mode.DEVICE,
                operation=Operation.NEW,
                tid=1,
                lun=2,
                device_type=DeviceType.TAPE,
                text="path=/a,bstype=ssc",
            ),
        ),
        (
            "--op update --mode lu --tid 1 --lun 2 --param online=1",
            Request(mode=Mode.DEVICE, operation=Operation.UPDATE, tid=1, lun=2, text="targetOps online=1,"),
        ),
        (
            "--op new --mode portal -P portal=[::1]",
            Request(mode=Mode.PORTAL, operation=Operation.NEW, text="portalOps portal=[::1],"),
        ),
        (
            "--op bind --mode account --user u --outgoing",
            Request(
                mode=Mode.ACCOUNT,
                operation=Operation.BIND,
                tid=GLOBAL_TID,
                direction=AccountDirection.OUTGOING,
                text="user=u",
            ),
        ),
        (
            "--op delete --force --mode target --tid 0x10",
            Request(mode=Mode.TARGET, operation=Operation.DELETE, tid=16, force=True),
        ),
    ],
)
def test_calls(line: str, request_: Request) -> None:
    """As tgtadm sends them."""
    assert parse_arguments(shlex.split(line)).request == request_


def test_the_control_port_and_questions_about_the_program() -> None:
    """Which need nothing else."""
    assert parse_arguments(["-C", "7", "--op", "show", "--mode", "sys"]).control_port == 7
    assert parse_arguments(["--help", "--version"]).asks == {"help", "version"}


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("--mode target", 22, "specify the operation type"),
        ("--op show", 22, "specify the mode"),
        ("--op show --mode nonsense", 1, "unknown mode: nonsense"),
        ("--op nonsense --mode sys", 1, "unknown operation: nonsense"),
        ("--op new --mode sys", 22, "operation new not supported in system mode"),
        ("--op new --mode target -T iqn.a", 22, "'tid' option is necessary"),
        ("--op new --mode target --tid 0 -T iqn.a", 22, "'tid' cannot be 0"),
        ("--op new --mode target --tid 1", 22, "requires a name"),
        ("--op new --mode target --tid 1 -T a --lun 1", 22, "target mode: option '-l' is not allowed/supported"),
        ("--op new --mode target --tid x -T a", 22, "-t argument value 'x' invalid"),
        ("--op bind --mode target --tid 1", 22, "requires initiator-address"),
        ("--op update --mode target --tid 1 --name x", 22, "requires 'name' and 'value'"),
        ("--op new --mode lu --tid 1", 22, "'lun' option is necessary"),
        ("--op new --mode lu --tid 1 --lun 1 -Y teapot", 22, "unknown target type: teapot"),
        ("--op new --mode account --user a", 22, "'user' and 'password' options are required"),
        ("--op bind --mode account --tid 1", 22, "'user' option is necessary"),
        ("--op new --mode portal", 22, "you must specify --param"),
        ("--nonsense", 22, "nonsense"),
        ("--op show --mode sys extra", 22, "unrecognized option 'extra'"),
    ],
)
def test_what_is_no_call(line: str, status: int, words: str) -> None:
    """In tgtadm's words, and with its exit status."""
    with pytest.raises(UsageError, match=words.replace("(", r"\(")) as caught:
        parse_arguments(shlex.split(line))
    assert caught.value.status == status
