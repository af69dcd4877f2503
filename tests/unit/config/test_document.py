import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.config.document import Dumper, dump, load
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Configuration,
    InitiatorGroup,
    MappedLun,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from tests.support.configurations import configurations

TARGET = "iqn.2003-01.org.linux-iscsi.storage.x8664:sn.0123456789ab"

# As rtslib 2.1 saves it: one target with CHAP on an ACL, a file and a volume.
RTSLIB = {
    "fabric_modules": [
        {
            "discovery_enable_auth": True,
            "discovery_mutual_password": "",
            "discovery_mutual_userid": "",
            "discovery_password": "discover",
            "discovery_userid": "anyone",
            "name": "iscsi",
        }
    ],
    "storage_objects": [
        {
            "aio": False,
            "alua_tpgs": [
                {
                    "alua_access_state": 0,
                    "alua_access_status": 0,
                    "alua_access_type": 3,
                    "alua_support_active_nonoptimized": 1,
                    "name": "default_tg_pt_gp",
                    "nonop_delay_msecs": 100,
                    "preferred": 0,
                    "tg_pt_gp_id": 0,
                    "trans_delay_msecs": 0,
                }
            ],
            "attributes": {"block_size": 512, "emulate_tpu": 1, "hw_queue_depth": 128, "emulate_write_cache": 1},
            "dev": "/srv/iscsi/disk01.img",
            "name": "disk01",
            "plugin": "fileio",
            "size": 107374182400,
            "write_back": True,
            "wwn": "6ff7f7a7-3e3c-4d5e-8f2b-0a1b2c3d4e5f",
        },
        {
            "attributes": {"emulate_tpu": 0, "pi_prot_type": 1},
            "dev": "/dev/mapper/iscsi_vg-lun01",
            "name": "lun01",
            "plugin": "block",
            "readonly": False,
            "write_back": False,
            "wwn": "aff7f7a7-3e3c-4d5e-8f2b-0a1b2c3d4e5f",
        },
    ],
    "targets": [
        {
            "fabric": "iscsi",
            "tpgs": [
                {
                    "attributes": {"authentication": 0, "generate_node_acls": 0, "invented": 7},
                    "enable": True,
                    "luns": [
                        {
                            "alias": "e4d5",
                            "alua_tg_pt_gp_name": "default_tg_pt_gp",
                            "index": 0,
                            "storage_object": "/backstores/fileio/disk01",
                        }
                    ],
                    "node_acls": [
                        {
                            "attributes": {"nopin_timeout": 5},
                            "chap_password": "secret-of-db",
                            "chap_userid": "db",
                            "mapped_luns": [{"alias": "f0", "index": 3, "tpg_lun": 0, "write_protect": True}],
                            "node_wwn": "iqn.2026-05.com.example:db-server",
                        }
                    ],
                    "parameters": {"MaxConnections": "4", "HeaderDigest": "CRC32C,None", "ErrorRecoveryLevel": "2"},
                    "portals": [{"ip_address": "::0", "iser": False, "offload": False, "port": 3260}],
                    "tag": 1,
                }
            ],
            "wwn": TARGET,
        },
        {"fabric": "loopback", "tpgs": [], "wwn": "naa.5001405"},
    ],
}


def test_what_rtslib_saves_is_understood() -> None:
    """Every part arrives where it belongs."""
    configuration, _ = load(json.dumps(RTSLIB))
    store = configuration.backstores[BackstoreKey("fileio", "disk01")]
    assert (store.path, store.size, store.write_back) == ("/srv/iscsi/disk01.img", 107374182400, True)
    assert store.attributes == {"emulate_tpu": 1, "hw_queue_depth": 128}
    assert store.attribute("emulate_write_cache") == 1
    assert store.options == {"aio": False}
    (group,) = configuration.targets[IscsiName(TARGET)].portal_groups
    assert group.portals == (Portal("::", 3260),)
    assert group.parameters == {"MaxConnections": 4}
    (acl,) = group.node_acls
    assert acl.mapped_luns == (MappedLun(number=3, tpg_lun=0, write_protect=True, alias="f0"),)
    assert (acl.chap.userid, acl.chap.password, acl.attributes) == ("db", "secret-of-db", {"nopin_timeout": 5})
    assert (configuration.discovery.enable, configuration.discovery.chap.userid) == (True, "anyone")


def test_what_cannot_be_honoured_is_told() -> None:
    """Another fabric, a setting that is not known, and values that we cannot have: each with its place."""
    _, remarks = load(json.dumps(RTSLIB))
    told = "\n".join(map(str, remarks))
    assert len(remarks) == 4
    for expected in ("'loopback' is left out", "no setting 'invented'", "ErrorRecoveryLevel", "pi_prot_type"):
        assert expected in told
    assert f"/iscsi/{TARGET}/tpg1" in told


def test_what_lio_does_not_know_is_saved_only_where_it_is_used() -> None:
    """A file without extensions says nothing that rtslib has not heard of."""
    plain = PortalGroup(tag=1)
    disk = Backstore(key=BackstoreKey("ramdisk", "r0"), size=512, unit_serial="1")
    saved = json.loads(dump(Configuration(backstores={disk.key: disk}, targets=with_groups(plain))))
    (entry,) = saved["targets"][0]["tpgs"]
    assert "initiator_groups" not in entry
    assert not {name for name in entry["attributes"] if name.startswith(("allowed", "redirect", "max_s", "per_portal"))}
    assert not {name for name in saved["storage_objects"][0]["attributes"] if name.startswith("limit")}
    used = PortalGroup(
        tag=1, attributes={"allowed_addresses": "192.0.2.7"}, initiator_groups=(InitiatorGroup(name="web"),)
    )
    (entry,) = json.loads(dump(Configuration(targets=with_groups(used))))["targets"][0]["tpgs"]
    assert entry["attributes"]["allowed_addresses"] == "192.0.2.7"
    assert entry["initiator_groups"] == [{"name": "web", "initiators": [], "mapped_luns": [], "attributes": {}}]


def with_groups(*groups: PortalGroup) -> dict[IscsiName, Target]:
    """One target with these groups."""
    name = IscsiName(TARGET)
    return {name: Target(name=name, portal_groups=groups)}


@settings(max_examples=50)
@given(configurations())
def test_what_is_saved_is_what_was_meant(configuration: Configuration) -> None:
    """Loading a dump gives the configuration back, and dumping that the same text."""
    configuration.check()
    text = dump(configuration)
    loaded, _ = load(text)
    assert loaded == configuration
    assert dump(loaded) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"targets": [}', "line 1, column 14"),
        ("[]", "is not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"targets": {}}', "'targets' is not a list"),
        ('{"targets": [{"wwn": "iqn.2026-01.a:b", "tpgs": [{"tag": "1"}]}]}', "'tag' is missing or not a number"),
        ('{"targets": [{"wwn": "nonsense"}]}', "is not an iSCSI name"),
        ('{"storage_objects": [{"plugin": "fileio", "name": "a"}]}', "'wwn' is missing"),
        ('{"storage_objects": [{"plugin": "fileio", "name": "a", "wwn": "1", "attributes": []}]}', "not an object"),
        (json.dumps({"targets": [RTSLIB["targets"][0], RTSLIB["targets"][0]]}), "is there twice"),  # type: ignore[index]
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(text: str, complaint: str) -> None:
    """An error that a person can act on, never a traceback."""
    with pytest.raises(ConfigurationError, match=complaint):
        load(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    [
                        "targets",
                        "tpgs",
                        "luns",
                        "wwn",
                        "tag",
                        "index",
                        "storage_objects",
                        "plugin",
                        "name",
                        "attributes",
                        "portals",
                    ]
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_read_or_refused(document: object) -> None:
    """Whatever stands in the file, it ends with a configuration or with a ConfigurationError."""
    try:
        load(json.dumps(document))
    except ConfigurationError:
        return


@given(st.lists(configurations(), min_size=1, max_size=3))
def test_a_dumper_writes_what_dump_writes(several: list[Configuration]) -> None:
    """Whatever it remembers of those before, and as `json` would write it."""
    dumper = Dumper()
    for configuration in several:
        text = dumper.dump(configuration)
        assert text == dump(configuration)
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


USER_AND_PSCSI: list[dict[str, Any]] = [
    {"plugin": "user", "name": "q", "wwn": "q", "size": 1 << 20, "config": "qcow//srv/q.qcow2", "hw_max_sectors": 128},
    {"plugin": "user", "name": "r", "wwn": "r", "size": 1 << 20, "config": "rbd/pool/image", "control": "x=1"},
    {"plugin": "pscsi", "name": "cd", "dev": "/dev/sg0"},
    {"plugin": "invented", "name": "i", "wwn": "i", "dev": "/dev/i"},
]


def test_what_cannot_work_here_is_kept_by_name() -> None:
    """Storage of other programs, with all that they want to know, comes back as it was saved; rtslib has no wwn for pscsi."""
    document = {"storage_objects": [{**entry, "attributes": {}, "alua_tpgs": []} for entry in USER_AND_PSCSI]}
    configuration, remarks = load(json.dumps(document))
    assert not remarks
    saved = {entry["name"]: entry for entry in json.loads(dump(configuration))["storage_objects"]}
    for entry in USER_AND_PSCSI:
        again = saved[entry["name"]]
        assert {name: again.get(name) for name in ("wwn", "dev", "config", "hw_max_sectors", "control")} == {
            name: entry.get(name) for name in ("wwn", "dev", "config", "hw_max_sectors", "control")
        }
    assert load(dump(configuration)) == (configuration, [])
