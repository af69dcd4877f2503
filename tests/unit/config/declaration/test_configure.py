from collections.abc import Mapping
from dataclasses import replace

import pytest

from isthmus.config.declaration.configure import Surroundings, configure
from isthmus.config.declaration.errors import DocumentError
from isthmus.config.declaration.models import Declaration
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    MappedLun,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.config.settings import TPG_ATTRIBUTES
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

NAME = "iqn.2026-01.org.example:db"
HOST = "iqn.2026-01.org.example:host"
DISK = BackstoreKey("fileio", "disk01")
FILES = {"alice": "correct horse battery", "bob": "staple"}


def read_secret(path: str) -> str:
    """The secret in one of `FILES`."""
    if path not in FILES:
        raise ConfigurationError(f"{path} is not there")
    return FILES[path]


SURROUNDINGS = Surroundings(
    running=Configuration(),
    absolute_path=lambda path: path if path.startswith("/") else f"/here/{path}",
    read_secret=read_secret,
    new_serial=lambda key: f"new {key}",
)


def configured(document: Mapping[str, object], running: Configuration = SURROUNDINGS.running) -> Configuration:
    """What `document` asks for."""
    values = {"backstores": {}, "targets": {}, **document}
    return configure(Declaration.read(values), replace(SURROUNDINGS, running=running))


def backstore(declared: object, name: str = "disk01") -> Backstore:
    """The only backstore."""
    (found,) = configured({"backstores": {name: declared}}).backstores.values()
    return found


def group(declared: Mapping[str, object]) -> PortalGroup:
    """The portal group of the only target, beside three backstores."""
    stores = {name: {"kind": "ramdisk", "size": "1M"} for name in ("a", "b", "c")}
    (found,) = configured({"backstores": stores, "targets": {NAME: declared}}).targets[IscsiName(NAME)].portal_groups
    return found


# -- Backstores --------------------------------------------------------------------------------------------------------


def test_a_backstore() -> None:
    """A backstore has what is said, LIO's defaults, and a serial number that follows from its name."""
    found = backstore({"kind": "fileio", "path": "disk01.img", "size": "10G", "attributes": {"emulate_tpu": True}})
    assert found == Backstore(
        key=DISK,
        path="/here/disk01.img",
        size=10 << 30,
        unit_serial="new /backstores/fileio/disk01",
        attributes={"emulate_tpu": 1},
    )


def test_the_kind_may_stand_before_the_name() -> None:
    """`KIND/NAME` names a backstore as well as `kind` does."""
    assert backstore({}, "fileio/disk01").key == DISK


@pytest.mark.parametrize(("kind", "write_back"), [("fileio", True), ("block", False), ("ramdisk", False)])
def test_only_files_are_cached_by_default(kind: str, write_back: bool) -> None:
    """As in targetcli, a file has a write cache unless told otherwise, and nothing else has."""
    assert backstore({"kind": kind}).write_back is write_back


def test_a_third_partys_path_is_its_own() -> None:
    """Only where a path is one in the file system it is made absolute."""
    assert backstore({"kind": "user:glfs", "path": "volume/disk"}).path == "volume/disk"


def test_a_backstore_keeps_its_serial_number() -> None:
    """A backstore that runs keeps its number; one that is given another has that."""
    running = Configuration(backstores={DISK: Backstore(key=DISK, unit_serial="old")})
    declared: dict[str, object] = {"kind": "fileio"}
    assert configured({"backstores": {"disk01": declared}}, running).backstores[DISK].unit_serial == "old"
    declared["serial"] = "mine"
    assert configured({"backstores": {"disk01": declared}}, running).backstores[DISK].unit_serial == "mine"


# -- Targets -----------------------------------------------------------------------------------------------------------


def test_a_target_is_its_first_portal_group() -> None:
    """What a target has is that of portal group 1."""
    assert configured({"targets": {NAME: {}}}).targets == {
        IscsiName(NAME): Target(name=IscsiName(NAME), portal_groups=(PortalGroup(tag=1),))
    }


def test_several_portal_groups() -> None:
    """A list of portal groups has them all, each by its tag."""
    found = configured({"targets": {NAME: {"portal_groups": [{"tag": 2}, {"tag": 1, "enable": False}]}}})
    assert found.targets[IscsiName(NAME)].portal_groups == (PortalGroup(tag=1, enable=False), PortalGroup(tag=2))


@pytest.mark.parametrize(
    ("text", "portal"),
    [
        ("192.0.2.7", Portal("192.0.2.7")),
        ("192.0.2.7:3261", Portal("192.0.2.7", 3261)),
        ("[2001:db8::7]", Portal("2001:db8::7")),
        ("[2001:DB8:0::7]:3261", Portal("2001:db8::7", 3261)),
    ],
)
def test_portals(text: str, portal: Portal) -> None:
    """A portal is an address, with a port if it is not 3260; IPv6 stands in brackets."""
    assert group({"portals": [text]}).portals == (portal,)


def test_luns_count_by_their_place() -> None:
    """A LUN has the number that it says, or else of its place in the list."""
    luns = group({"luns": ["a", {"backstore": "b", "lun": 7}, "ramdisk/c"]}).luns
    assert [(lun.number, lun.backstore.name) for lun in luns] == [(0, "a"), (2, "c"), (7, "b")]


def test_an_initiator_sees_every_lun() -> None:
    """Without a list of its own an initiator sees what the group has, under the same numbers."""
    (acl,) = group({"luns": ["a", "b"], "initiators": [{"name": HOST, "read_only": True}]}).node_acls
    assert acl.mapped_luns == (
        MappedLun(number=0, tpg_lun=0, write_protect=True),
        MappedLun(number=1, tpg_lun=1, write_protect=True),
    )


def test_an_initiator_with_luns_of_its_own() -> None:
    """With a list it sees that, each under its number and with its right to write."""
    luns = [0, {"lun": 5, "tpg_lun": 1, "read_only": True}]
    (acl,) = group({"luns": ["a", "b"], "initiators": [{"name": HOST, "luns": luns}]}).node_acls
    assert acl.mapped_luns == (
        MappedLun(number=0, tpg_lun=0),
        MappedLun(number=5, tpg_lun=1, write_protect=True),
    )
    assert group({"luns": ["a"], "initiators": [{"name": HOST, "luns": []}]}).node_acls[0].mapped_luns == ()


def test_initiator_groups() -> None:
    """In their order; what they see is said as for an initiator."""
    declared = group(
        {
            "luns": ["a", "b"],
            "initiator_groups": [
                {"name": "web", "initiators": ["*:WEB*"], "read_only": True, "attributes": {"max_sessions": 4}},
                {"name": "db", "initiators": ["*:db?"], "luns": [{"lun": 7, "tpg_lun": 1}]},
            ],
        }
    )
    assert declared.initiator_groups == (
        InitiatorGroup(
            name="web",
            initiators=("*:web*",),
            mapped_luns=tuple(MappedLun(number=lun, tpg_lun=lun, write_protect=True) for lun in (0, 1)),
            attributes={"max_sessions": 4},
        ),
        InitiatorGroup(name="db", initiators=("*:db?",), mapped_luns=(MappedLun(number=7, tpg_lun=1),)),
    )


@pytest.mark.parametrize("written", [["192.0.2.0/24", "2001:DB8::/32"], "192.0.2.0/24, 2001:db8::/32"])
def test_a_setting_that_is_a_list_may_be_written_as_one(written: object) -> None:
    """Or as a text with commas, as in the shell."""
    declared = group({"attributes": {"allowed_addresses": written}})
    assert declared.allowed.addresses == ("192.0.2.0/24", "2001:db8::/32")


def test_yaml_says_true_for_yes() -> None:
    """A parameter whose values are Yes and No takes true and false for them; a flag is 1 and 0."""
    found = group({"parameters": {"ImmediateData": False}, "attributes": {"generate_node_acls": True}})
    assert found.parameters == {"ImmediateData": "No"}
    assert found.attributes == {"generate_node_acls": 1}


# -- Credentials -------------------------------------------------------------------------------------------------------


def test_secrets_come_from_files() -> None:
    """Both secrets are read from the files that the document names."""
    chap = {"user": "a", "secret_file": "alice", "mutual_user": "b", "mutual_secret_file": "bob"}
    assert group({"chap": chap}).chap == Chap(
        userid="a", password=FILES["alice"], mutual_userid="b", mutual_password=FILES["bob"]
    )


def test_a_secret_may_be_kept() -> None:
    """A secret that is not in the document is asked to stay."""
    assert group({"chap": {"user": "a", "secret": "(kept)"}}).chap == Chap(userid="a", password="(kept)")


@pytest.mark.parametrize(
    "declared",
    [
        {"chap": {"user": "a", "secret_file": "alice"}},
        {"initiators": [{"name": HOST, "chap": {"user": "a", "secret_file": "alice"}}]},
    ],
)
def test_credentials_are_asked_for(declared: dict[str, object]) -> None:
    """Where there are credentials, initiators have to prove them, unless the document says otherwise."""
    assert TPG_ATTRIBUTES.with_defaults(group(declared).attributes)["authentication"] == 1
    declared["attributes"] = {"authentication": 0}
    assert TPG_ATTRIBUTES.with_defaults(group(declared).attributes)["authentication"] == 0


@pytest.mark.parametrize(("said", "enable"), [({}, True), ({"enable": False}, False)])
def test_discovery(said: dict[str, object], enable: bool) -> None:
    """Discovery asks for the credentials that it is given, unless the document says otherwise."""
    found = configured({"discovery": {"chap": {"user": "a", "secret_file": "alice"}, **said}}).discovery
    assert found == DiscoveryAuthentication(enable=enable, chap=Chap(userid="a", password=FILES["alice"]))


# -- What cannot be ----------------------------------------------------------------------------------------------------

RAMDISK = {"kind": "ramdisk", "size": "1M"}
PATH = f'targets."{NAME}"'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"backstores": {"a": {}}}, "backstores.a.kind: this key is missing: say which kind"),
        (
            {"backstores": {"block/a": {"kind": "fileio"}}},
            "backstores.\"block/a\".kind: the kind is 'fileio' here, but",
        ),
        (
            {"backstores": {"a": RAMDISK, "ramdisk/a": {"size": 1}}},
            'backstores."ramdisk/a": this backstore is there twice',
        ),
        ({"backstores": {"a b": RAMDISK}}, "backstores.\"a b\": 'a b' cannot name a backstore"),
        ({"backstores": {"a": {"kind": "fileio", "size": "10X"}}}, "backstores.a.size: '10X' is not a size: write"),
        ({"backstores": {"a": {"kind": "fileio", "size": 0}}}, "backstores.a.size: a disk of 0 is not possible"),
        (
            {"backstores": {"a": {**RAMDISK, "write_back": True}}},
            "backstores.a.write_back: a ramdisk has no write cache",
        ),
        ({"backstores": {"a": {**RAMDISK, "path": "x"}}}, "backstores.a.path: a ramdisk has no path: leave it out"),
        (
            {"backstores": {"a": {**RAMDISK, "attributes": {"block_size": 5}}}},
            "backstores.a.attributes.block_size: block_size of a backstore cannot be 5",
        ),
        (
            {"backstores": {"a": {**RAMDISK, "alua_groups": [{"name": "x", "id": 1, "parameters": {"y": 1}}]}}},
            "backstores.a.alua_groups[0].parameters.y: a ALUA target port group has no setting 'y'",
        ),
        (
            {"backstores": {"a": {**RAMDISK, "serial": "1"}, "b": {**RAMDISK, "serial": "1"}}},
            "serial number 1 is there twice: each has its own",
        ),
        ({"targets": {"db": {}}}, "targets.db: 'db' is not an iSCSI name"),
        ({"targets": {NAME: {}, NAME.upper(): {}}}, f'targets."{NAME.upper()}": this target is there twice'),
        ({"targets": {NAME: {"portals": ["::1"]}}}, f"{PATH}.portals[0]: '::1' is not a portal"),
        ({"targets": {NAME: {"portals": ["host"]}}}, f"{PATH}.portals[0]: 'host' is not an IP address"),
        ({"targets": {NAME: {"portals": ["1.2.3.4:99999"]}}}, f"{PATH}.portals[0]: 99999 is not a TCP port"),
        ({"targets": {NAME: {"luns": ["x"]}}}, f"{PATH}.luns[0]: there is no backstore 'x' in this document"),
        (
            {"backstores": {"ramdisk/a": {"size": 1}, "block/a": {}}, "targets": {NAME: {"luns": ["a"]}}},
            f"{PATH}.luns[0]: there are 2 backstores 'a': write ramdisk/a or block/a",
        ),
        (
            {"backstores": {"a": RAMDISK}, "targets": {NAME: {"luns": [{"backstore": "a", "lun": 1}, "a"]}}},
            f"{PATH}: LUN 1 is there twice",
        ),
        (
            {"targets": {NAME: {"initiators": [{"name": HOST, "luns": [0]}]}}},
            f"{PATH}.initiators[0].luns[0]: the portal group has no LUN 0",
        ),
        ({"targets": {NAME: {"initiators": [HOST, HOST]}}}, f"{PATH}: node ACL {HOST} is there twice"),
        (
            {"targets": {NAME: {"portal_groups": [{"tag": 1, "parameters": {"MaxBurstLength": 1}}]}}},
            f"{PATH}.portal_groups[0].parameters.MaxBurstLength: MaxBurstLength of a target portal group cannot be 1",
        ),
        (
            {"targets": {NAME: {"chap": {"user": "a"}}}},
            f"{PATH}.chap: user has no secret: name its file with secret_file",
        ),
        (
            {"targets": {NAME: {"chap": {"secret_file": "alice", "secret": "(kept)"}}}},
            f"{PATH}.chap: secret and secret_file are both there: remove one",
        ),
        ({"discovery": {"chap": {"secret_file": "eve"}}}, "discovery.chap.secret_file: eve is not there"),
        ({"discovery": {"chap": {"user": "x" * 256, "secret": ""}}}, "discovery.chap: the CHAP userid is longer than"),
    ],
)
def test_what_cannot_be_is_told_with_its_path(document: Mapping[str, object], message: str) -> None:
    """What the model refuses is refused with the place in the document where it comes from."""
    with pytest.raises(ConfigurationError) as caught:
        configured(document)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, DocumentError) or "twice" in message
