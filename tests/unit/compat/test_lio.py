import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.compat.importer import Imported, ImportSyntaxError, Surroundings
from isthmus.compat.lio import read
from isthmus.config.document import dump
from isthmus.config.model import Configuration
from isthmus.errors import ConfigurationError
from tests.support.configurations import configurations

NAME = "iqn.2003-01.org.linux-iscsi.host:sn.1"
FILE = "/etc/target/saveconfig.json"


def imported(text: str) -> Imported:
    """What `isthmus import lio` makes of `text`."""
    return read(text, FILE, Surroundings(new_serial=str))


def told(document: dict[str, Any]) -> list[str]:
    """What is told of a document that has each value on a line of its own."""
    return [str(finding) for finding in imported(json.dumps(document, indent=1)).findings]


def document(*, store: dict[str, Any] | None = None, group: dict[str, Any] | None = None) -> dict[str, Any]:
    """A saved form with one backstore and one LUN, as rtslib writes it."""
    return {
        "storage_objects": [
            {"plugin": "fileio", "name": "d", "dev": "/a", "wwn": "s", "size": 1048576, **(store or {})}
        ],
        "targets": [
            {
                "fabric": "iscsi",
                "wwn": NAME,
                "tpgs": [{"tag": 1, "luns": [{"index": 0, "storage_object": "/backstores/fileio/d"}], **(group or {})}],
            }
        ],
    }


def test_the_saved_form_is_read_as_it_is() -> None:
    """Nothing is told of what can be done."""
    found = imported(json.dumps(document()))
    assert found.findings == ()
    assert [(target.name, lun.number) for target, _, lun in found.configuration.luns()] == [(NAME, 0)]


@pytest.mark.parametrize(
    ("changes", "marker", "what"),
    [
        ({"store": {"attributes": {"x": 0, "colour": 1}}}, '"x": 0', "/backstores/fileio/d: there is no setting 'x'"),
        (
            {"store": {"attributes": {"block_size": 1000}}},
            "1000",
            "/backstores/fileio/d: block_size of a backstore cannot",
        ),
        (
            {"group": {"attributes": {"t10_pi": 1}}},
            "t10_pi",
            f"/iscsi/{NAME}/tpg1: t10_pi of a target portal group can only",
        ),
        (
            {"group": {"parameters": {"MaxConnections": "9"}}},
            "MaxConnections",
            f"/iscsi/{NAME}/tpg1: MaxConnections of a target",
        ),
        (
            {"group": {"node_acls": [{"node_wwn": NAME, "attributes": {"x": 1}}]}},
            '"x": 1',
            f"/iscsi/{NAME}/tpg1/acls/{NAME}: there is no setting 'x'",
        ),
        (
            {"group": {"portals": [{"ip_address": "192.0.2.1", "port": 3260, "iser": True}]}},
            '"portals": [\n      {',
            f"/iscsi/{NAME}/tpg1/portals/192.0.2.1:3260: iSER and offload are not done: it is plain TCP",
        ),
    ],
)
def test_what_cannot_be_honoured_is_told_with_its_line(changes: dict[str, Any], marker: str, what: str) -> None:
    """And with its place in the tree."""
    text = json.dumps(document(**changes), indent=1)
    line = text.count("\n", 0, text.index(marker) + len(marker)) + 1
    assert str(imported(text).findings[0]).startswith(f"{FILE}:{line}: {what}")


def test_other_fabrics_are_left_out() -> None:
    """There is iSCSI only."""
    assert told({"targets": [{"wwn": "naa.5001405", "fabric": "loopback"}]}) == [
        f"{FILE}:3: naa.5001405: the fabric 'loopback' is left out: there is iSCSI only"
    ]


@pytest.mark.parametrize(
    ("kind", "config", "why"),
    [
        ("user", "rbd/pool/image", "map it with rbd map and serve /dev/rbdN as block"),
        ("user", "", "there is no TCMU here; serve its storage as fileio or block"),
        ("tape", "", "there is no such kind here"),
    ],
)
def test_backstores_that_cannot_be_served_are_left_out(kind: str, config: str, why: str) -> None:
    """With their LUNs and mapped LUNs."""
    path = f"/backstores/{kind}/d"
    text = json.dumps(
        document(
            store={"plugin": kind, "config": config},
            group={
                "luns": [{"index": 7, "storage_object": path}],
                "node_acls": [{"node_wwn": NAME, "mapped_luns": [{"index": 0, "tpg_lun": 7}]}],
            },
        ),
        indent=1,
    )
    found = imported(text)
    assert [str(finding) for finding in found.findings] == [
        f"{FILE}:3: {path}: {why}; it is left out, with its LUNs",
        f"{FILE}:20: LUN 7 is {path}: it is left out",
    ]
    (target,) = found.configuration.targets.values()
    assert (found.configuration.backstores, target.portal_groups[0].luns) == ({}, ())
    assert target.portal_groups[0].node_acls[0].mapped_luns == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{\n x", ":2:2: this is not JSON: Expecting property name"),
        ("[" * 100_000, ":1:1: this is nested too deeply"),
        ("[]", ":1:1: this is not an object"),
        (f"[{'9' * 5000}]", ":1:1: this is not JSON"),
        ('{\n"targets": [\n{"wwn": "x"}]}', ":3:1: 'x' is not an iSCSI name"),
        (f'{{\n"targets": [\n{{"wwn": "{NAME}",\n"tpgs": [{{"tag": 0}}]}}]}}', ":4:10: 0 cannot be the tag"),
        ('{"storage_objects": 7}', ":1:1: /: 'storage_objects' is not a list of objects"),
    ],
)
def test_what_makes_no_configuration_is_an_error_with_its_place(text: str, problem: str) -> None:
    """File, line and column."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}{problem}"):
        imported(text)


def test_backstores_that_can_be_served_come_along() -> None:
    """Devices that get commands as they are, and files of TCMU."""
    for store in ({"plugin": "pscsi", "dev": "1:0:0:0"}, {"plugin": "user", "config": "file//srv/a"}):
        path = f"/backstores/{store['plugin']}/d"
        found = imported(json.dumps(document(store=store, group={"luns": [{"index": 0, "storage_object": path}]})))
        assert ([str(key) for key in found.configuration.backstores], found.findings) == ([path], ())


def test_what_only_the_whole_can_be_wrong_in_names_the_file() -> None:
    """A LUN that is no backstore, say."""
    with pytest.raises(ConfigurationError, match=f"^{FILE}: LUN 0 of .*, which there is not"):
        imported(json.dumps(document(group={"luns": [{"index": 0, "storage_object": "/backstores/fileio/x"}]})))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(configurations())
def test_what_is_saved_here_is_read(configuration: Configuration) -> None:
    """It is the same format."""
    assert imported(dump(configuration)).configuration == configuration


_KEYS = ["storage_objects", "targets", "fabric_modules", "wwn", "tpgs", "luns", "index", "storage_object", "tag"]
_KEYS += [
    "plugin",
    "name",
    "attributes",
    "parameters",
    "portals",
    "ip_address",
    "port",
    "node_acls",
    "node_wwn",
    "size",
]
_KEYS += ["mapped_luns", "tpg_lun", "chap_userid", "chap_password", "alua_tpgs", "fabric", "initiator_groups", "enable"]
_SCALARS = st.sampled_from([NAME, "iscsi", "fileio", "/backstores/fileio/d", "", 0, 1, -1, 1.5, True, None, "\udcff"])
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=20,
)


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    """A saved form in which some values are others."""
    whole = document(store=draw(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=2)))
    group = whole["targets"][0]["tpgs"][0]
    group.update(draw(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=3)))
    return json.dumps(whole)


@given(st.one_of(_JSON.map(json.dumps), _damaged(), st.text(), st.text('{}[]":,1 \n')))
def test_every_file_is_a_configuration_or_an_error_that_names_it(text: str) -> None:
    """Never anything else."""
    message = FILE
    try:
        imported(text)
    except ConfigurationError as error:
        message = str(error)
    assert message.startswith(FILE)
