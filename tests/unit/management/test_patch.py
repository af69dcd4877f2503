import json

import pytest
from hypothesis import given, settings

from isthmus.config.model import Backstore, BackstoreKey, Configuration, DiscoveryAuthentication, Target
from isthmus.errors import ConfigurationError
from isthmus.management.patch import Patch, apply_patch, difference, dump_patch, read_patch
from isthmus.names import IscsiName
from tests.support.configurations import configurations

NAMES = [IscsiName(f"iqn.2026-05.com.example:t{number}") for number in range(3)]


@settings(max_examples=60)
@given(old=configurations(), new=configurations())
def test_a_patch_makes_new_of_old_also_across_the_socket(old: Configuration, new: Configuration) -> None:
    """Whatever the two are, and also after it was JSON on the way."""
    patch = difference(old, new)
    assert apply_patch(old, patch) == new
    carried = read_patch(json.loads(json.dumps(dump_patch(patch))))
    assert apply_patch(old, carried) == new


@settings(max_examples=30)
@given(configurations())
def test_nothing_differs_from_itself(configuration: Configuration) -> None:
    """An empty patch changes nothing."""
    assert difference(configuration, configuration) == Patch()
    assert apply_patch(configuration, Patch()) == configuration


def test_only_what_differs_is_in_it() -> None:
    """One target of three changed, one gone: the third does not travel."""
    old = Configuration(targets={name: Target(name=name) for name in NAMES})
    new = Configuration(targets={NAMES[0]: old.targets[NAMES[0]], NAMES[2]: Target(name=NAMES[2])})
    patch = difference(old, new)
    assert patch.targets == {NAMES[1]: None}
    assert dump_patch(patch)["removed"] == {"storage_objects": [], "targets": [NAMES[1]]}


def test_discovery_authentication_can_be_taken_back_to_its_default() -> None:
    """None means as before, the default means the default."""
    old = Configuration(discovery=DiscoveryAuthentication(enable=True))
    patch = read_patch(dump_patch(difference(old, Configuration())))
    assert apply_patch(old, patch).discovery == DiscoveryAuthentication()
    kept = read_patch(dump_patch(difference(old, old)))
    assert apply_patch(old, kept).discovery.enable


def test_what_stays_is_shared() -> None:
    """Applying to a thousand targets copies none of them."""
    key = BackstoreKey("ramdisk", "r")
    old = Configuration(targets={name: Target(name=name) for name in NAMES})
    new = apply_patch(old, Patch(backstores={key: Backstore(key=key, unit_serial="1")}))
    assert new.targets is old.targets


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"removed": []}, "'removed' is not an object"),
        ({"removed": {"targets": "all"}}, "'targets' is not a list"),
        ({"removed": {"targets": [3]}}, "'targets' is not a list"),
        ({"removed": {"storage_objects": ["nowhere"]}}, "is not the path of a backstore"),
        ({"removed": {"targets": ["nonsense"]}}, "is not an iSCSI name"),
    ],
)
def test_what_is_no_patch_is_refused(document: dict[str, object], complaint: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(ConfigurationError, match=complaint):
        read_patch(document)
