import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.tgt.errors import Refused
from isthmus.compat.tgt.session_keys import SESSION_KEYS, SessionKey, numeral, session_key
from isthmus.config.model import PortalGroup
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS


@pytest.mark.parametrize("key", SESSION_KEYS, ids=lambda key: key.name)
def test_every_default_is_a_value(key: SessionKey) -> None:
    """And its effect is one that the portal group can have."""
    assert key.parsed(key.default) == key.default
    if key.parameter:
        TPG_PARAMETERS.parse(key.parameter, key.effect(key.default))
    if key.attribute:
        TPG_ATTRIBUTES.parse(key.attribute, key.effect(key.default))


@given(st.sampled_from(SESSION_KEYS), st.text(max_size=12) | st.integers(0, 1 << 33).map(str))
def test_whatever_tgtd_takes_has_an_effect_here(key: SessionKey, text: str) -> None:
    """Or is kept, and shown as it was meant."""
    try:
        value = key.parsed(text)
    except Refused:
        return
    if key.parameter and (key.done is None or key.range is not None):
        TPG_PARAMETERS.parse(key.parameter, key.effect(value))
    options = {} if key.is_done(value) else {key.option: value}
    if options:
        assert key.shown(PortalGroup(tag=1), options) == value


def test_a_group_that_tgtadm_did_not_make() -> None:
    """Shows what holds for it: our digests and depth, not tgt's."""
    shown = {key.name: key.shown(PortalGroup(tag=1), {}) for key in SESSION_KEYS}
    assert (shown["HeaderDigest"], shown["MaxQueueCmd"], shown["InitialR2T"]) == ("CRC32C", "64", "Yes")


def test_keys_are_found_whatever_their_case() -> None:
    """As with tgtd."""
    found = session_key("maxburstlength")
    assert found is not None
    assert found.name == "MaxBurstLength"
    assert session_key("nonsense") is None


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("0x10", 16), (" 7 seconds", 7), ("-3", -3), ("x", 0), ("", 0)]
)
def test_numbers_as_c_reads_them(text: str, number: int) -> None:
    """Up to the first character that is no digit."""
    assert numeral(text) == number
