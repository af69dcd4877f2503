from isthmus.compat.importer import Surroundings
from isthmus.compat.tgt.grammar import Block, parse
from isthmus.compat.tgt.plan import Skipped, Step, discovery_steps, isns_steps, target_steps, units_of

TEXT = """\
incomingdiscoveryuser finder finders-secret
iSNSServerIP 192.0.2.1
<target iqn.2026-01.org.example:a>
    write-cache off
    vendor_id ACME
    backing-store /srv/b
    backing-store /srv/a
    <direct-store /dev/sdz>
        lun 2
        vendor_id OTHER
        mode_page 10:0:0
        params rotation_rate=${tid}
    </direct-store>
    MaxConnections 4
    incominguser alice "a secret" and more
    incominguser alice other
    incominguser nobody
    outgoinguser bob bobs
    outgoinguser carol carols
    initiator-name iqn.2026-01.org.example:host
    state offline
    lun 7 # for all: the first unit takes it
</target>
"""


def tree(text: str = TEXT) -> Block:
    """A file."""
    return parse(text, "/t", Surroundings(new_serial=str)).root


def calls(*, names_alone: bool = False) -> tuple[list[str], list[str]]:
    """What is called, and what is skipped."""
    (target,) = tree().blocks("target")
    target.entries = [entry for entry in target.entries if entry.name != "lun"]
    steps = list(
        target_steps(
            target,
            3,
            {},
            lambda path: {"scsi_sn": f"serial of {path}", "block-size": "4096", "vendor_id": "REAL"},
            lambda unit: "it is away" if unit.path == "/srv/b" else "",
            names_alone=names_alone,
        )
    )
    return [str(step) for step in steps if isinstance(step, Step)], [
        f"{step.place.line}: {step.meaning}: {step.instead}" for step in steps if isinstance(step, Skipped)
    ]


def test_the_calls_are_tgt_admins() -> None:
    """In its order: units by their paths, mode pages before other parameters, then users, rules, the state."""
    found, skipped = calls()
    unit = "--mode logicalunit --tid 3 --lun"
    assert found == [
        "--lld iscsi --op new --mode target --tid 3 -T iqn.2026-01.org.example:a",
        "--mode target --op update --tid 3 --name MaxConnections --value 4",
        f"--lld iscsi --op new {unit} 1 -b /srv/a",
        f"--lld iscsi --op update {unit} 1 --params mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0",
        f"--lld iscsi --op update {unit} 1 --params vendor_id=ACME",
        f"--lld iscsi --op new {unit} 2 -b /dev/sdz --blocksize 4096",
        f"--lld iscsi --op update {unit} 2 --params mode_page=10:0:0",
        f"--lld iscsi --op update {unit} 2 --params mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0",
        f"--lld iscsi --op update {unit} 2 --params vendor_id=OTHER",
        f"--lld iscsi --op update {unit} 2 --params scsi_sn=serial of /dev/sdz",
        f"--lld iscsi --op update {unit} 2 --params rotation_rate=3",
        "--mode account --op new --user alice --password ***",
        "--mode account --op bind --tid 3 --user alice",
        "--mode account --op bind --tid 3 --user alice",
        "--op bind --mode target --tid 3 -Q iqn.2026-01.org.example:host",
        "--op bind --mode target --tid 3 -I ALL",
        "--mode account --op new --user bob --password ***",
        "--mode account --op bind --tid 3 --outgoing --user bob",
        "--mode target --op update --tid 3 --name state --value offline",
    ]
    assert skipped == [
        "6: LUN 3 at /srv/b: it is away",
        "15: words behind the secret of alice: they do not count, as with tgt-admin",
        "16: another secret of alice: the first one counts, as with tgt-admin",
        "17: incominguser without a user and a secret: it is left out",
        "19: a second outgoinguser: only the first one is used",
    ]


def test_names_can_stand_alone() -> None:
    """As targets.conf(5) says; tgt-admin lets everybody in beside them."""
    found, skipped = calls(names_alone=True)
    assert "--op bind --mode target --tid 3 -I ALL" not in found
    assert any("only these names are let in" in line for line in skipped)


def test_numbers_of_units() -> None:
    """Paths in the order of their bytes; those with an identity of their own come last."""
    (target,) = tree().blocks("target")
    assert [(unit.path, unit.value("lun")) for unit in units_of(target)] == [
        ("/srv/a", "7"),
        ("/srv/b", "7"),
        ("/dev/sdz", "2"),
    ]


def test_what_is_for_the_whole() -> None:
    """Discovery's users, and iSNS."""
    known: dict[str, str | None] = {}
    assert [str(step) for step in discovery_steps(tree(), known)] == [
        "--mode account --op new --user finder --password ***",
        "--mode account --op bind --user finder",
    ]
    assert known == {"finder": "finders-secret"}
    assert [str(step) for step in isns_steps(tree())] == [
        "--op update --mode sys --name iSNSServerIP --value 192.0.2.1"
    ]


def test_secrets_are_whatever_is_quoted() -> None:
    """In the request; never in what is printed."""
    root = tree('incomingdiscoveryuser "a b" "c d#\\"e"\n')
    first, second = list(discovery_steps(root, {}))
    assert isinstance(first, Step)
    assert first.request.text == 'user=a b,password=c d#"e'
    assert "c d" not in f"{first}{second}"
