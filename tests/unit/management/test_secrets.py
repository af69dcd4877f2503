import pytest
from hypothesis import given, settings

from isthmus.config.document import dump
from isthmus.config.model import KEPT, Chap, Configuration, NodeAcl, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.secrets import hide_secrets, resolve_secrets
from isthmus.names import IscsiName
from tests.support.configurations import configurations

NAME = IscsiName("iqn.2026-05.com.example:a")
DB = IscsiName("iqn.2026-05.com.example:db")


def configuration(password: str, mutual: str = "") -> Configuration:
    """One with CHAP on a node ACL."""
    acl = NodeAcl(name=DB, chap=Chap(userid="db", password=password, mutual_password=mutual))
    return Configuration(targets={NAME: Target(name=NAME, portal_groups=(PortalGroup(tag=1, node_acls=(acl,)),))})


def password(of: Configuration) -> str:
    """The password of that node ACL."""
    return of.targets[NAME].portal_groups[0].node_acls[0].chap.password


def test_what_is_hidden_and_put_back_is_what_it_was() -> None:
    """Fetch, edit nothing, put back: nothing changes."""
    running = configuration("geheimgeheim1", "auchgeheim123")
    hidden = hide_secrets(running)
    assert "geheim" not in dump(hidden)
    assert password(hidden) == KEPT
    assert resolve_secrets(hidden, running) == running


@settings(max_examples=40)
@given(configurations())
def test_hiding_and_resolving_cancel_out(running: Configuration) -> None:
    """For every configuration, at every place of a secret."""
    hidden = hide_secrets(running)
    assert resolve_secrets(hidden, running) == running
    assert hide_secrets(hidden) == hidden


def test_a_new_secret_replaces_the_old() -> None:
    """Only KEPT keeps."""
    assert password(resolve_secrets(configuration("newnewnewnew"), configuration("oldoldoldold"))) == "newnewnewnew"
    assert password(resolve_secrets(configuration(""), configuration("oldoldoldold"))) == ""


def test_there_must_be_something_to_keep() -> None:
    """KEPT where there was no secret would lock everybody out, so it is refused by its place."""
    with pytest.raises(ConfigurationError, match=f"{NAME} tpg1 {DB} has no password"):
        resolve_secrets(configuration(KEPT), Configuration())


def test_what_has_no_secret_stays_the_same_object() -> None:
    """So that a change among a thousand targets touches one."""
    plain = Configuration(targets={NAME: Target(name=NAME, portal_groups=(PortalGroup(tag=1),))})
    assert hide_secrets(plain).targets[NAME] is plain.targets[NAME]
