import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.importer import ImportSyntaxError
from isthmus.config.model import Configuration
from tests.support.scst import FILE, imported


def test_an_empty_file_is_an_empty_configuration() -> None:
    """Comments are nothing either."""
    assert imported("# nothing\n\n").configuration == Configuration()


def test_the_first_line_tells_the_format() -> None:
    """A headline is of the ini-style file."""
    assert [str(name) for name in imported("[Target iqn.2026-01.org.example:t]").configuration.targets] == [
        "iqn.2026-01.org.example:t"
    ]


def test_what_is_not_iscsi_is_told() -> None:
    """Other drivers, the copy manager, the cluster, ALUA as a whole."""
    found = imported(
        "cluster_name c\nthreads 8\nTARGET_DRIVER ib_srpt {\nTARGET x {\nLUN 0 y\n}\n}\n"
        "TARGET_DRIVER copy_manager {\n}\nALUA {\nx 1\n}\ncolour red\n"
    )
    assert [str(finding) for finding in found.findings] == [
        f"{FILE}:1: cluster_name c of SCST: other machines do not hear of reservations",
        f"{FILE}:3: TARGET_DRIVER ib_srpt: there is iSCSI only; it is left out",
        (
            f"{FILE}:8: TARGET_DRIVER copy_manager: a copy may go between all disks that its initiator sees; "
            "what else is said of it is left out"
        ),
        f"{FILE}:10: settings of ALUA as a whole: there are none here; they are left out",
        f"{FILE}:13: colour of SCST: there is no such setting here; it is left out",
    ]


def test_a_comment_that_takes_a_character_is_told() -> None:
    """It is done as scstadmin does it."""
    (finding,) = imported("threads 18#9").findings
    assert str(finding).endswith("write \\# for a #: as scstadmin does, so it is done")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("HANDLER h {", ":1:1: the section 'HANDLER' is not closed"),
        ("[Target", ":1:1: the headline is not closed"),
        ("SECTION x {\n}", ":1:1: there is no section 'SECTION' at the top"),
        ("a b c", ":1:5: a has a word too many"),
        ("setup_id x", ":1:1: it is not a number"),
        ("TARGET_DRIVER iscsi {\n}\nTARGET_DRIVER iscsi {\n}", ":3:1: TARGET_DRIVER iscsi is there twice"),
    ],
)
def test_a_syntax_error_names_file_line_and_column(text: str, problem: str) -> None:
    """Of both formats."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}{problem}"):
        imported(text)


SECRET = "N0-b0dy-sh0uld-read-this"
_NAMES = st.sampled_from(
    ["a", "b", "iscsi", "iqn.2026-01.org.example:t", "0", "1", "vdisk_nullio", "vdisk_fileio", "*"]
)
_WORDS = st.sampled_from(
    [
        "HANDLER",
        "DEVICE",
        "TARGET_DRIVER",
        "TARGET",
        "GROUP",
        "LUN",
        "INITIATOR",
        "DEVICE_GROUP",
        "TARGET_GROUP",
        "enabled",
        "filename",
        "blocksize",
        "group_id",
        "state",
        "allowed_portal",
        "redirect",
        "QueuedCommands",
        "setup_id",
    ]
)
_VALUES = st.one_of(_NAMES, st.text(max_size=8), st.sampled_from(["0x10", "-1", "active", "/srv/a", "192.0.2.1 temp"]))


def _statement(words: tuple[str, list[str]], inner: list[str] | None) -> str:
    quoted = " ".join(f'"{value}"' for value in words[1])
    return f"{words[0]} {quoted}" if inner is None else "\n".join([f"{words[0]} {quoted} {{", *inner, "}"])


_HEADS = st.tuples(_WORDS, st.lists(_VALUES, max_size=3))
_ACCOUNTS = st.sampled_from(
    [f'IncomingUser "joe {SECRET}"', f"IncomingUser {SECRET}", SECRET, f'OutgoingUser "x {SECRET}']
)
_STATEMENTS = st.recursive(
    st.one_of(_HEADS.map(lambda words: _statement(words, None)), _ACCOUNTS),
    lambda inner: st.builds(_statement, _HEADS, st.lists(inner, max_size=4)),
    max_leaves=12,
)
_INI = st.lists(
    st.sampled_from(
        [
            "[DEFAULT]",
            "[Target iqn.2026-01.org.example:t]",
            "[Target x]",
            "[LUN 0]",
            "[LUN x]",
            "[Initiator y]",
            "[GROUP a]",
            "[Initiator iqn.2026-01.org.example:i]",
            "MaxConnections 4",
            "path=/srv/a",
            "type=nullio",
            "type=x",
            SECRET,
            "CHAP Username joe",
            f"CHAP Password {SECRET}",
            f'CHAP Password "{SECRET}',
            "HeaderDigest x",
            "size=-1",
        ]
    ),
    max_size=8,
)


@given(st.one_of(st.lists(_STATEMENTS, max_size=5).map("\n".join), _INI.map("\n".join), st.text()))
def test_every_file_is_a_configuration_or_a_located_error(text: str) -> None:
    """Never anything else; and no secret is ever told."""
    told = ""
    try:
        told = str(imported(text).findings)
    except ImportSyntaxError as error:
        told = str(error)
        assert 1 <= error.line <= text.count("\n") + 1  # noqa: PT017  the place is the point
    assert SECRET not in told
