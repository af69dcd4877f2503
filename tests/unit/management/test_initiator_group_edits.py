from collections.abc import Callable

import pytest

from isthmus.config.model import Backstore, BackstoreKey, Configuration, InitiatorGroup
from isthmus.errors import ConfigurationError
from isthmus.management import initiator_group_edits as edits
from isthmus.management.backstore_edits import create_backstore
from isthmus.management.lun_edits import add_lun, remove_lun
from isthmus.management.target_edits import create_target, group_of
from isthmus.names import IscsiName

NAME = IscsiName("iqn.2026-05.com.example:storage01")
DISK = BackstoreKey("ramdisk", "ram0")


@pytest.fixture
def configuration() -> Configuration:
    """A target with one LUN, and the initiator groups web and db."""
    configuration = create_backstore(
        create_target(Configuration(), NAME), Backstore(key=DISK, size=1 << 20, unit_serial="1")
    )
    configuration = add_lun(configuration, NAME, 1, DISK)
    configuration = edits.add_initiator_group(configuration, NAME, 1, "web", ["*:web*"])
    return edits.add_initiator_group(configuration, NAME, 1, "db")


def groups(configuration: Configuration) -> tuple[InitiatorGroup, ...]:
    """The initiator groups, in their order."""
    return group_of(configuration, NAME, 1).initiator_groups


def test_groups_keep_their_order(configuration: Configuration) -> None:
    """A new one is asked last."""
    assert [group.name for group in groups(configuration)] == ["web", "db"]
    left = edits.remove_initiator_group(configuration, NAME, 1, "web")
    assert [group.name for group in groups(left)] == ["db"]


def test_patterns_are_added_removed_and_moved(configuration: Configuration) -> None:
    """In whatever spelling."""
    configuration = edits.add_initiators(configuration, NAME, 1, "web", ["*:WWW"])
    configuration = edits.move_initiator(configuration, NAME, 1, "web", "*:www", "db")
    configuration = edits.remove_initiators(configuration, NAME, 1, "web", ["*:WEB*"])
    assert [group.initiators for group in groups(configuration)] == [(), ("*:www",)]


def test_patterns_are_replaced(configuration: Configuration) -> None:
    """All at once."""
    configuration = edits.set_initiators(configuration, NAME, 1, "web", ["*:a", "*:b"])
    assert groups(configuration)[0].initiators == ("*:a", "*:b")


def test_luns_have_their_own_number_and_mode(configuration: Configuration) -> None:
    """And go with the LUN that they stand on."""
    configuration = edits.add_group_lun(configuration, NAME, 1, "web", 0, number=5, write_protect=True)
    configuration = edits.add_group_lun(configuration, NAME, 1, "web", 0)
    (web, _) = groups(configuration)
    assert [(lun.number, lun.tpg_lun, lun.write_protect) for lun in web.mapped_luns] == [(0, 0, False), (5, 0, True)]
    one_less = edits.remove_group_lun(configuration, NAME, 1, "web", 5)
    assert [lun.number for lun in groups(one_less)[0].mapped_luns] == [0]
    assert groups(remove_lun(configuration, NAME, 1, 0))[0].mapped_luns == ()


def test_attributes(configuration: Configuration) -> None:
    """What is not named stays."""
    configuration = edits.set_initiator_group_attributes(configuration, NAME, 1, "web", {"max_sessions": "3"})
    assert groups(configuration)[0].attributes == {"max_sessions": 3}


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda it: edits.add_initiator_group(it, NAME, 1, "web"), "has an initiator group 'web' already"),
        (lambda it: edits.add_initiator_group(it, NAME, 1, "a b"), "cannot name an initiator group"),
        (lambda it: edits.remove_initiator_group(it, NAME, 1, "mail"), "has no initiator group 'mail'"),
        (lambda it: edits.add_initiators(it, NAME, 1, "web", ["*:web*"]), "is there twice"),
        (lambda it: edits.add_initiators(it, NAME, 1, "web", ["a b"]), "is not a pattern"),
        (lambda it: edits.remove_initiators(it, NAME, 1, "web", ["a b"]), "is not a pattern"),
        (lambda it: edits.remove_initiators(it, NAME, 1, "web", ["*"]), r"has no pattern \*"),
        (lambda it: edits.move_initiator(it, NAME, 1, "web", "*:web*", "mail"), "has no initiator group 'mail'"),
        (lambda it: edits.add_group_lun(it, NAME, 1, "web", 9), "maps LUN 9"),
        (lambda it: edits.remove_group_lun(it, NAME, 1, "web", 0), "has no mapped_lun0"),
        (lambda it: edits.set_initiator_group_attributes(it, NAME, 1, "web", {"colour": 1}), "no setting 'colour'"),
        (
            lambda it: edits.add_group_lun(edits.add_group_lun(it, NAME, 1, "web", 0), NAME, 1, "web", 0),
            "mapped LUN 0 is taken",
        ),
    ],
)
def test_what_cannot_be_is_said(
    configuration: Configuration, edit: Callable[[Configuration], Configuration], complaint: str
) -> None:
    """With the remedy."""
    with pytest.raises(ConfigurationError, match=complaint):
        edit(configuration)
