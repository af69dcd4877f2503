import pytest

from isthmus.config.model import MAX_LUN, MappedLun
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError
from isthmus.management.mapped_luns import chosen_number, with_mapped_lun, without_mapped_lun, without_mappings_of

ONE = (MappedLun(number=3, tpg_lun=0),)


def test_its_own_number_or_another() -> None:
    """In the order of the numbers, with its own protection."""
    assert with_mapped_lun(ONE, 1) == (MappedLun(number=1, tpg_lun=1), *ONE)
    assert with_mapped_lun(ONE, 1, number=9, write_protect=True) == (
        *ONE,
        MappedLun(number=9, tpg_lun=1, write_protect=True),
    )


def test_a_number_that_is_taken() -> None:
    """Given or its own, it is refused."""
    for tpg_lun, number in ((3, None), (1, 3)):
        with pytest.raises(ConfigurationError, match="mapped LUN 3 is taken"):
            with_mapped_lun(ONE, tpg_lun, number=number)


def test_one_less() -> None:
    """One that is not there is named, with those that are."""
    assert without_mapped_lun(ONE, 3, "db") == ()
    with pytest.raises(NotFoundError, match="db has no mapped_lun0") as raised:
        without_mapped_lun(ONE, 0, "db")
    assert "mapped_lun3" in str(raised.value)


def test_what_maps_a_lun_that_goes() -> None:
    """It is found by the LUN of the portal group, not by its own number."""
    two = with_mapped_lun(ONE, 2, number=0)
    assert without_mappings_of(two, {0}) == (MappedLun(number=0, tpg_lun=2),)


def test_a_free_number() -> None:
    """The lowest, as long as there is one."""
    assert chosen_number("LUN", None, {0, 1, 3}) == 2
    with pytest.raises(ConfigurationError, match="every LUN number is taken"):
        chosen_number("LUN", None, range(MAX_LUN + 1))
