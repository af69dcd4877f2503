import pytest

from isthmus.config.model import KEPT, BackstoreKey, Chap, Configuration, Lun, MappedLun, NodeAcl, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.acl_tags import label_of, tag_acls, tagged, untag_acls
from isthmus.management.errors import NotFoundError
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName

NAME = IscsiName("iqn.2026-05.com.example:a")
ONE, TWO, THREE = (IscsiName(f"iqn.2026-05.com.example:{name}") for name in ("one", "two", "three"))


def with_acls(*acls: NodeAcl) -> Configuration:
    """A target with these node ACLs."""
    luns = (Lun(number=0, backstore=BackstoreKey("ramdisk", "r")),)
    group = PortalGroup(tag=1, luns=luns, node_acls=acls)
    return Configuration(targets={NAME: Target(name=NAME, portal_groups=(group,))})


def acls(configuration: Configuration) -> dict[str, NodeAcl]:
    """By the initiators' names."""
    return {acl.name: acl for acl in group_of(configuration, NAME, 1).node_acls}


def test_who_is_meant() -> None:
    """Everybody with the tag, or the initiator of that name."""
    group = group_of(with_acls(NodeAcl(name=ONE, tag="x"), NodeAcl(name=TWO, tag="x"), NodeAcl(name=THREE)), NAME, 1)
    assert {acl.name for acl in tagged(group, "x")} == {ONE, TWO}
    assert [acl.name for acl in tagged(group, ONE)] == [ONE]
    assert sorted(map(label_of, group.node_acls)) == [THREE, "x", "x"]
    with pytest.raises(NotFoundError, match=f"it has {THREE}, x"):
        tagged(group, "y")


def test_joining_takes_the_settings() -> None:
    """Of those who have the tag; a tag of nobody changes nothing else; all of a tag go together."""
    model = NodeAcl(
        name=ONE,
        attributes={"nopin_timeout": 5},
        mapped_luns=(MappedLun(number=3, tpg_lun=0),),
        chap=Chap(userid="u", password="geheimgeheim1"),
    )
    tagged_once = tag_acls(with_acls(model, NodeAcl(name=TWO), NodeAcl(name=THREE)), NAME, 1, ONE, "x")
    assert acls(tagged_once)[ONE].chap == model.chap
    joined = acls(tag_acls(tagged_once, NAME, 1, TWO, "x"))[TWO]
    assert (joined.tag, joined.attributes, joined.mapped_luns, joined.chap) == (
        *("x", model.attributes, model.mapped_luns),
        model.chap,
    )
    renamed = tag_acls(tag_acls(tagged_once, NAME, 1, TWO, "x"), NAME, 1, "x", "y")
    assert {name: acl.tag for name, acl in acls(renamed).items()} == {ONE: "y", TWO: "y", THREE: ""}
    left = untag_acls(renamed, NAME, 1, "y")
    assert [(acl.tag, acl.attributes) for name, acl in acls(left).items() if name != THREE] == [
        ("", model.attributes)
    ] * 2


def test_a_secret_that_is_not_known_is_not_copied() -> None:
    """What would be kept at the new place is that place's own."""
    before = with_acls(NodeAcl(name=ONE, tag="x", chap=Chap(userid="u", password=KEPT)), NodeAcl(name=TWO))
    with pytest.raises(ConfigurationError, match="have a secret"):
        tag_acls(before, NAME, 1, TWO, "x")
    assert acls(tag_acls(before, NAME, 1, ONE, "y"))[ONE].tag == "y"


@pytest.mark.parametrize("label", ["", "a.b", "a/b"])
def test_what_is_no_tag(label: str) -> None:
    """It could not be told from a name, or not be gone to."""
    with pytest.raises(ConfigurationError, match="cannot be a tag"):
        tag_acls(with_acls(NodeAcl(name=ONE)), NAME, 1, ONE, label)
