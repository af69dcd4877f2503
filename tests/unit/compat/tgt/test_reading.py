import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.importer import ImportSyntaxError, Surroundings
from isthmus.compat.merging import merge
from isthmus.compat.tgt.reading import read
from isthmus.config.document import dump
from isthmus.config.model import KEPT, Account, Chap, Configuration, PortalGroup, Target
from isthmus.management.secrets import hide_secrets, resolve_secrets
from isthmus.names import IscsiName

A = IscsiName("iqn.2026-01.org.example:a")
TEXT = """\
<target iqn.2026-01.org.example:a>
    <backing-store /srv/one.img>
        lun 5
        vendor_id ACME
        write-cache off
        params thin_provisioning=1,rotation_rate=1
    </backing-store>
    backing-store /dev/sdz
    incominguser alice "any # secret, $(x)"
    incominguser bob bobs-secret
    outgoinguser carol carols-secret
    initiator-address 192.0.2.0/24
    initiator-address 2001:db8::1
    initiator-name iqn.2026-01.org.example:host
    HeaderDigest CRC32C
    MaxConnections 16
    state offline
    controller_tid 9
</target>
"""
LINES = st.sampled_from(
    [
        *TEXT.splitlines(),
        "<target iqn.2026-01.org.example:b>",
        "<target>",
        "</target>",
        "<direct-store /dev/sdz>",
        "</direct-store>",
        "lun 99999999999999999999",
        "lun -1",
        "controller_tid ²",
        "backing-store",
        "backing-store NONE:x",
        "device-type tape",
        "device-type teapot",
        "bs-type null",
        "block-size 1024",
        "mode_page 8:x",
        "scsi_id \udcff\udcfe",
        "online 0",
        "path /srv/two.img",
        "params path=/srv/three.img",
        "params",
        "incominguser",
        "incominguser alice PLEASE_CORRECT_THE_PASSWORD",
        "incominguser alice (kept)",
        "incomingdiscoveryuser d e",
        "initiator-address nonsense/",
        "MaxBurstLength x",
        "iSNS On",
        "default-driver iser",
        "nonsense",
        "include /absent",
    ]
)


def surroundings(running: Configuration | None = None) -> Surroundings:
    """Where /dev/sdz is a device, and /srv/absent.img is not there."""
    kinds = {"/dev/sdz": "block", "/srv/absent.img": "absent", "/absent": "absent"}
    return Surroundings(
        new_serial=lambda key: f"serial of {key.name}",
        running=running or Configuration(),
        list_files=lambda _: [],
        kind_of=lambda path: kinds.get(path, "file"),
    )


def group(configuration: Configuration, name: IscsiName = A) -> PortalGroup:
    """The one of a target."""
    return configuration.targets[name].portal_groups[0]


def findings(text: str, running: Configuration | None = None) -> list[str]:
    """As they are told."""
    return [str(finding) for finding in read(text, "/t", surroundings(running)).findings]


def test_a_file_becomes_a_configuration() -> None:
    """The one that tgt-admin would make, with nothing left out."""
    imported = read(TEXT, "/t", surroundings())
    configuration = imported.configuration
    configuration.check()
    assert [str(finding) for finding in imported.findings] == []
    made = group(configuration)
    assert [(lun.number, str(lun.backstore)) for lun in made.luns] == [
        (1, "/backstores/block/sdz"),
        (5, "/backstores/fileio/one.img"),
    ]
    store = configuration.backstores[made.luns[1].backstore]
    assert (store.attribute("vendor_id"), store.attribute("emulate_write_cache"), store.attribute("emulate_tpu")) == (
        "ACME",
        0,
        1,
    )
    assert made.chap == Chap(
        userid="alice",
        password="any # secret, $(x)",
        others=(Account("bob", "bobs-secret"),),
        mutual_userid="carol",
        mutual_password="carols-secret",
    )
    assert made.attributes["allowed_addresses"] == "192.0.2.0/24,2001:db8::1"
    assert made.attributes["allowed_initiators"] == "iqn.2026-01.org.example:host"
    assert (made.enable, made.parameters["MaxConnections"], configuration.targets[A].options) == (
        False,
        8,
        {"tgt_tid": 9, "tgt_MaxConnections": "16"},
    )


def test_a_path_that_no_file_can_have_is_told() -> None:
    """Whatever the machine says of it."""
    anything = dataclasses.replace(surroundings(), kind_of=lambda _: "file")
    imported = read(f"<target {A}>\nbacking-store /srv/a\0b\n</target>\n", "/t", anything)
    (finding,) = imported.findings
    assert (finding.line, "has a NUL in it" in finding.meaning, finding.instead) == (2, True, "it is left out")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense 1", "/t:3: a target has no nonsense: it is ignored, as by tgt-admin"),
        ("bs-type", "/t:3: bs-type has no value: it is left out"),
        ("backing-store /srv/absent.img", "/t:3: LUN 2 at /srv/absent.img: it does not exist, so it is left out"),
        ("driver iser", "/t:3: driver iser: it is iSCSI over TCP"),
        ("controller_tid x", "/t:3: controller_tid x: it gets the next number"),
        ("initiator-address nonsense/", "'nonsense/' is neither an address nor a name: it is left out"),
        (
            "<backing-store /srv/b>\ndevice-type tape\n</backing-store>",
            "there is no backing store type 'ssc' here: it is left out",
        ),
        ("incominguser alice PLEASE_CORRECT_THE_PASSWORD", "the secret of alice is not in the file"),
        ("incominguser alice secretsecret more", "/t:3: words behind the secret of alice: they do not count"),
        ("<backing-store /srv/b>\nlun -1\n</backing-store>", "/t:4: lun -1 is no number: it is LUN 2"),
        ("<backing-store /srv/b>\nlun 1\nlun 4\n</backing-store>", "/t:4: lun is there 2 times: the last one counts"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_line(line: str, told: str) -> None:
    """The rest is done."""
    text = f"<target {A}>\n    backing-store /srv/a\n{line}\n</target>\n"
    imported = read(text, "/t", surroundings())
    assert any(told in str(finding) for finding in imported.findings)
    assert 1 in {lun.number for lun in group(imported.configuration).luns}


def test_what_concerns_the_whole() -> None:
    """Another driver, another daemon, iSNS; discovery's accounts are done."""
    text = "default-driver iser\ncontrol-port 3\niSNS On\nincomingdiscoveryuser d e\nunknown 1\n"
    told = findings(text)
    assert [line.partition(": ")[0] for line in told] == ["/t:1", "/t:2", "/t:3", "/t:5"]
    discovery = read(text, "/t", surroundings()).configuration.discovery
    assert (discovery.enable, discovery.chap.userid) == (True, "d")


def test_a_target_that_cannot_be() -> None:
    """Goes with all that stands at it, but for its accounts."""
    text = "<target san>\nbacking-store /srv/a\nincominguser u v\n</target>\n"
    imported = read(text, "/t", surroundings())
    assert (imported.configuration.targets, imported.configuration.backstores) == ({}, {})
    assert len(imported.findings) == 1


def test_blocks_of_one_name_are_one_target() -> None:
    """And a name alone lets only itself in."""
    text = f"<target {A}>\nbacking-store /srv/a\n</target>\n<target {A}>\ninitiator-name iqn.2026-01.org.example:h\n</target>\n"
    configuration = read(text, "/t", surroundings()).configuration
    made = group(configuration)
    assert (len(made.luns), made.attributes.get("allowed_addresses")) == (1, None)
    assert made.attributes["allowed_initiators"] == "iqn.2026-01.org.example:h"


def test_it_stands_beside_what_runs() -> None:
    """Numbers that are taken are not taken again; a target keeps its own."""
    b = IscsiName("iqn.2026-01.org.example:b")
    running = Configuration(
        targets={A: Target(name=A, options={"tgt_tid": 4}), b: Target(name=b, options={"tgt_tid": 1})}
    )
    text = f"<target {A}>\n</target>\n<target iqn.2026-01.org.example:c>\n</target>\n"
    targets = read(text, "/t", surroundings(running)).configuration.targets
    assert {name[-1]: target.options["tgt_tid"] for name, target in targets.items()} == {"a": 4, "c": 2}


def test_secrets_that_run_are_kept() -> None:
    """Where a dump has a placeholder, or an export says so."""
    running = merge(Configuration(), read(TEXT, "/t", surroundings()).configuration)
    text = TEXT.replace('"any # secret, $(x)"', "PLEASE_CORRECT_THE_PASSWORD").replace("carols-secret", KEPT)
    imported = read(text, "/t", surroundings(hide_secrets(running)))
    assert imported.findings == ()
    wanted = merge(hide_secrets(running), imported.configuration)
    assert resolve_secrets(wanted, running) == running


@given(st.lists(LINES, max_size=25))
def test_any_file_is_a_configuration_or_a_located_error(lines: list[str]) -> None:
    """With findings that have lines; and the configuration holds, and can be saved."""
    text = "\n".join(lines)
    try:
        imported = read(text, "/t", surroundings())
    except ImportSyntaxError as error:
        assert 1 <= error.line <= len(lines)  # noqa: PT017  an error is one of the two good ends
        return
    assert all(1 <= finding.line <= len(lines) for finding in imported.findings)
    imported.configuration.check()
    dump(dataclasses.replace(imported.configuration))
