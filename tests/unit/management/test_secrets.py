import dataclasses

import pytest
from hypothesis import given

from isthmus.config.document import dump
from isthmus.config.model import Account, Chap, Configuration, DiscoveryAuthentication, NodeAcl, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.secrets import KEPT, hide_secrets, resolve_secrets
from isthmus.names import IscsiName
from tests.support.configurations import configurations

TARGET = IscsiName("iqn.2026-01.org.example:target")
HOST = IscsiName("iqn.2026-01.org.example:host")
SECRET = Chap(userid="me", password="geheimgeheim", mutual_userid="you", mutual_password="auchgeheim123")


def everywhere(chap: Chap) -> Configuration:
    """The same credentials in every place that there is for them."""
    group = PortalGroup(tag=1, chap=chap, node_acls=(NodeAcl(name=HOST, chap=chap),))
    return Configuration(
        targets={TARGET: Target(name=TARGET, portal_groups=(group,))}, discovery=DiscoveryAuthentication(chap=chap)
    )


@given(configurations())
def test_hidden_secrets_come_back(configuration: Configuration) -> None:
    """Whatever the configuration, if it is put back as it was shown."""
    assert resolve_secrets(hide_secrets(configuration), configuration) == configuration


def test_nothing_of_a_secret_is_shown() -> None:
    """Names are; each place that has a secret says so."""
    hidden = dump(hide_secrets(everywhere(SECRET)))
    assert "geheim" not in hidden
    assert hidden.count(KEPT) == 6
    assert hidden.count('"me"') == 3


def test_a_new_secret_takes_the_place_of_the_old_one() -> None:
    """Beside one that is kept."""
    new = everywhere(dataclasses.replace(SECRET, password="ganz neu und lang", mutual_password=KEPT))
    resolved = resolve_secrets(new, everywhere(SECRET))
    assert resolved == everywhere(dataclasses.replace(SECRET, password="ganz neu und lang"))


def test_what_is_not_there_cannot_be_kept() -> None:
    """The error names the place."""
    with pytest.raises(ConfigurationError, match="discovery has no password"):
        resolve_secrets(everywhere(Chap(userid="me", password=KEPT)), Configuration())


def test_what_has_no_secret_stays_the_same_object() -> None:
    """So that comparing and writing it again costs nothing."""
    plain = everywhere(Chap())
    assert hide_secrets(plain).targets[TARGET] is plain.targets[TARGET]


def test_the_secrets_of_further_users_are_secrets() -> None:
    """Those of a target, and those that are only known by name."""
    others = (Account("two", "geheimgeheim2"), Account("three", "geheimgeheim3"))
    running = dataclasses.replace(everywhere(dataclasses.replace(SECRET, others=others)), accounts=others)
    hidden = hide_secrets(running)
    assert "geheim" not in dump(hidden)
    assert resolve_secrets(hidden, running) == running


def test_a_kept_secret_stays_with_its_user() -> None:
    """Whichever of several users comes first, each keeps the secret that is its own."""
    running = everywhere(Chap(userid="one", password="geheim1", others=(Account("two", "geheim2"),)))
    moved = everywhere(Chap(userid="two", password=KEPT, others=(Account("one", KEPT),)))
    wanted = everywhere(Chap(userid="two", password="geheim2", others=(Account("one", "geheim1"),)))
    assert resolve_secrets(moved, running) == wanted
