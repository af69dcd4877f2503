from hypothesis import given
from hypothesis import strategies as st

from isthmus.config.declaration.configure import Surroundings, configure
from isthmus.config.declaration.declare import declare
from isthmus.config.declaration.models import Declaration
from isthmus.config.declaration.notation import Notation, parse, write
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.management.secrets import hide_secrets
from isthmus.names import IscsiName
from tests.support.configurations import configurations

TARGET = IscsiName("iqn.2026-01.org.example:db")
INITIATOR = IscsiName("iqn.2026-01.org.example:host")
DISK = BackstoreKey("fileio", "disk01")


def never(_what: object) -> str:
    """What a declared configuration does not ask for: a file with a secret, a new serial number."""
    raise AssertionError


NOWHERE = Surroundings(running=Configuration(), absolute_path=str, read_secret=never, new_serial=never)


def with_group(group: PortalGroup) -> Configuration:
    """One backstore, and one target with `group`."""
    store = Backstore(key=DISK, path="/srv/disk01.img", size=10 << 30, unit_serial="d1")
    return Configuration(backstores={DISK: store}, targets={TARGET: Target(name=TARGET, portal_groups=(group,))})


def declared(configuration: Configuration) -> dict[str, object]:
    """The only target of the document for `configuration`."""
    target: dict[str, object] = declare(configuration).plain()["targets"][str(TARGET)]
    return target


@given(configurations(), st.sampled_from(Notation))
def test_a_declared_configuration_comes_back(configuration: Configuration, notation: Notation) -> None:
    """Every configuration, declared, written, read and configured again, is the same but for its secrets."""
    text = write(declare(configuration).plain(), notation)
    again = configure(Declaration.read(parse(text, notation)), NOWHERE)
    assert again == hide_secrets(configuration)


@given(configurations())
def test_a_declaration_comes_back(configuration: Configuration) -> None:
    """A declaration, configured, is declared the same again."""
    declaration = declare(configuration)
    assert declare(configure(declaration, NOWHERE)) == declaration


def test_it_says_no_more_than_it_must() -> None:
    """What has its default goes without saying, and a target with one portal group does not name it."""
    group = PortalGroup(
        tag=1,
        luns=(Lun(number=0, backstore=DISK),),
        node_acls=(NodeAcl(name=INITIATOR, mapped_luns=(MappedLun(number=0, tpg_lun=0),)),),
    )
    assert declare(with_group(group)).plain() == {
        "backstores": {"disk01": {"kind": "fileio", "path": "/srv/disk01.img", "size": "10G", "serial": "d1"}},
        "targets": {
            str(TARGET): {"luns": [{"lun": 0, "backstore": "disk01"}], "initiators": [{"name": str(INITIATOR)}]}
        },
    }


def test_secrets_are_only_said_to_be_there() -> None:
    """Users are named; of their secrets a document says that there are some, or none."""
    chap = Chap(userid="alice", password="correct horse battery", mutual_userid="bob")
    found = declared(with_group(PortalGroup(tag=1, chap=chap)))
    assert found["chap"] == {"user": "alice", "secret": "(kept)", "mutual_user": "bob", "mutual_secret": ""}


def test_credentials_that_nobody_asks_for_stay_so() -> None:
    """Where CHAP is set but not required, the document says so: left out, it would be required."""
    group = PortalGroup(tag=1, node_acls=(NodeAcl(name=INITIATOR, chap=Chap(userid="alice", password="secret")),))
    assert declared(with_group(group))["attributes"] == {"authentication": 0}


def test_two_kinds_may_have_one_name() -> None:
    """A name that two kinds have stands with its kind."""
    keys = [BackstoreKey("fileio", "a"), BackstoreKey("block", "a"), BackstoreKey("block", "b")]
    stores = {key: Backstore(key=key, unit_serial=str(key)) for key in keys}
    assert list(declare(Configuration(backstores=stores)).plain()["backstores"]) == ["fileio/a", "block/a", "b"]


def test_other_portal_groups_are_named() -> None:
    """A target whose only portal group is not number 1 has its groups in a list."""
    assert declared(with_group(PortalGroup(tag=2, enable=False))) == {"portal_groups": [{"tag": 2, "enable": False}]}


def test_a_read_only_initiator() -> None:
    """An initiator that only reads everything is called so once."""
    mapped = MappedLun(number=0, tpg_lun=0, write_protect=True)
    acl = NodeAcl(name=INITIATOR, mapped_luns=(mapped,))
    found = declared(with_group(PortalGroup(tag=1, luns=(Lun(number=0, backstore=DISK),), node_acls=(acl,))))
    assert found["initiators"] == [{"name": str(INITIATOR), "read_only": True}]
