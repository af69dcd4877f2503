import pytest

from isthmus.compat.scst.admin_request import Request, add_all, remove_all, set_all, split_attributes
from isthmus.compat.scst.layout import Block
from isthmus.errors import ConfigurationError


def test_attributes_are_a_list() -> None:
    """A name alone switches on."""
    assert split_attributes("a=1, b ,c=x=y,") == [("a", "1"), ("b", "1"), ("c", "x=y")]


def test_attributes_are_set_added_and_removed() -> None:
    """By name; to be removed, by value as well."""
    owner = Block(("TARGET", "t"))
    add_all(owner, asked("a=1,a=2"))
    set_all(owner, asked("b=3"))
    set_all(owner, asked("b=4"))
    remove_all(owner, asked("a=1"))
    assert [inner.words for inner in owner.inner] == [("a", "2"), ("b", "4")]
    with pytest.raises(ConfigurationError, match="t has no a of that value"):
        remove_all(owner, asked("a=1"))


def test_a_user_goes_by_its_name() -> None:
    """Nobody tells what secret was kept."""
    owner = Block(("TARGET", "t"), [Block(("IncomingUser", "joe secret"))])
    remove_all(owner, asked("IncomingUser=joe"))
    assert not owner.inner


def test_what_a_verb_lacks_is_said() -> None:
    """And what driver there is."""
    with pytest.raises(ConfigurationError, match="-add_lun lacks -device"):
        Request(verb="add_lun").word("device")
    with pytest.raises(ConfigurationError, match="there is no driver 'x': there is iscsi"):
        Request(verb="add_lun", words={"driver": "x"}).check_driver()


def asked(attributes: str) -> Request:
    """A verb with these -attributes."""
    return Request(verb="set_tgt_attr", words={"attributes": attributes})
