import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName, SerialNumber, initiator_port_name, target_port_name

numbers = st.integers(min_value=0, max_value=0xFFFF_FFFF)
distances = st.integers(min_value=1, max_value=(1 << 31) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "iqn.2001-04.com.example",
        "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
        "iqn.2026-12.org.example:a.b-c",
        "iqn.2026-01.org.example:café",
        "eui.02004567a425678d",
        "naa.52004567ba64678d",
        "naa.62004567ba64678d0123456789abcdef",
    ],
)
def test_names_of_each_form(text: str) -> None:
    """The three forms of RFC 7143 §4.2.7 are names, and equal their text."""
    assert IscsiName(text) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("IQN.2001-04.COM.Example:Disk", "iqn.2001-04.com.example:disk"),
        ("EUI.02004567A425678D", "eui.02004567a425678d"),
        ("iqn.2026-01.org.example:cafe\u0301", "iqn.2026-01.org.example:caf\u00e9"),
        ("iqn.2026-01.org.example:Größe", "iqn.2026-01.org.example:grösse"),
    ],
)
def test_names_have_a_normal_form(text: str, normal: str) -> None:
    """Names that differ in case or in Unicode composition only are equal (RFC 3722)."""
    assert IscsiName(text) == IscsiName(normal) == normal
    assert hash(IscsiName(text)) == hash(IscsiName(normal))


@given(st.text(min_size=1, max_size=20))
def test_the_normal_form_stays(text: str) -> None:
    """The normal form of a name is its own normal form, whatever its letters."""
    try:
        name = IscsiName(f"iqn.2026-01.org.example:{text}")
    except ConfigurationError:
        return
    assert str(IscsiName(name)) == str(name)


@pytest.mark.parametrize("letter", ["\u0345", "\u1e9e", "\u03d3", "\u1fb7"])
def test_the_normal_form_of_letters_that_fold_apart(letter: str) -> None:
    """Letters that case folding decomposes are composed again (RFC 3722 §4)."""
    name = IscsiName(f"iqn.2026-01.org.example:a{letter}\u0301")
    assert str(IscsiName(name)) == str(name)


@pytest.mark.parametrize("text", ["iqn.libiscsi.unittest.target", "iqn.2007-03:virtual-dvd:host", "iqn.ronnie.test:a"])
def test_names_that_are_in_use_without_a_date_or_a_domain(text: str) -> None:
    """Initiators and targets that have always had them go on."""
    assert IscsiName(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "disk",
        "iqn.2001-4.com.example",
        "iqn.2001-13.com.example",
        "iqn.2001-00.com.example",
        "iqn.2001-04.",
        "iqn.2001-04:",
        "iqn.disk",
        "iqn.disk.",
        "iqn..disk",
        "iqn.2001-04.com.example:",
        "iqn.2001-04.com.example:a b",
        "iqn.2001-04.com.example:a_b",
        "iqn.2001-04.com.example:a/b",
        "iqn.2001-04.com.example:a,b",
        "iqn.2001-04.com.example:a\n",
        "iqn.2001-04.com.example:a\0",
        "eui.02004567a425678",
        "eui.02004567a425678g",
        "naa.52004567ba64678d0",
        "wwn.52004567ba64678d",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    """Anything else is refused, with the forms that there are."""
    with pytest.raises(ConfigurationError, match=r"use iqn\.YYYY-MM"):
        IscsiName(text)


def test_the_longest_name() -> None:
    """223 bytes of UTF-8 are a name, one more is not (RFC 7143 §4.2.7.1)."""
    stem = "iqn.2001-04.com.example:"
    assert len(IscsiName(stem + "x" * (223 - len(stem)))) == 223
    with pytest.raises(ConfigurationError, match="longer than 223 bytes"):
        IscsiName(stem + "x" * (224 - len(stem)))
    with pytest.raises(ConfigurationError, match="longer than 223 bytes"):
        IscsiName(stem + "é" * ((224 - len(stem)) // 2))


def test_port_names() -> None:
    """SCSI port names are the iSCSI name with the ISID or the portal group tag (RFC 7143 §4.4.2)."""
    assert initiator_port_name("iqn.x", 0x00023D000001) == "iqn.x,i,0x00023d000001"
    assert target_port_name("iqn.y", 1) == "iqn.y,t,0x0001"


@given(numbers, distances)
def test_a_later_number_is_greater(number: int, distance: int) -> None:
    """Half of all numbers follow any other, over the wrap as well."""
    here, later = SerialNumber(number), SerialNumber(number) + distance
    assert here < later
    assert here <= later
    assert later > here
    assert later >= here
    assert not later < here
    assert later - here == distance
    assert here - later == -distance


@given(numbers)
def test_a_number_equals_itself(number: int) -> None:
    """A number is neither before nor after itself, and survives a whole turn."""
    here = SerialNumber(number)
    assert here == number
    assert here <= here
    assert here >= here
    assert here + (1 << 32) == here
    assert here - here == 0


def test_the_wrap() -> None:
    """After ffffffffh comes 0 (RFC 1982)."""
    last = SerialNumber(0xFFFF_FFFF)
    assert last + 1 == 0
    assert last < SerialNumber(0)
    assert SerialNumber(0) - last == 1
    assert isinstance(last + 1, SerialNumber)
