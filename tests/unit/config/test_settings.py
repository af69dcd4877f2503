import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    SettingTable,
)
from isthmus.errors import ConfigurationError
from tests.support.configurations import values_of

TABLES = [ACL_ATTRIBUTES, ALUA_GROUP_PARAMETERS, BACKSTORE_ATTRIBUTES, TPG_ATTRIBUTES, TPG_PARAMETERS]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.owner)
def test_every_default_is_a_value_that_its_setting_can_have(table: SettingTable) -> None:
    """A default comes out of its own parser unchanged."""
    for setting in table:
        assert table.parse(setting.name, setting.default) == setting.default


@given(data=st.data())
def test_parsing_is_idempotent(data: st.DataObject) -> None:
    """What a setting keeps, it takes back as it is."""
    table = data.draw(st.sampled_from(TABLES))
    setting = data.draw(st.sampled_from(list(table)))
    parsed = table.parse(setting.name, data.draw(values_of(setting)))
    assert table.parse(setting.name, parsed) == parsed


@pytest.mark.parametrize(
    ("table", "name", "value", "kept"),
    [
        (TPG_ATTRIBUTES, "authentication", "Yes", 1),
        (TPG_ATTRIBUTES, "default_cmdsn_depth", "0x40", 64),
        (TPG_PARAMETERS, "HeaderDigest", "none, crc32c", "None,CRC32C"),
        (TPG_PARAMETERS, "InitialR2T", "no", "No"),
        (TPG_PARAMETERS, "TargetAlias", "a b", "a b"),
        (TPG_ATTRIBUTES, "allowed_addresses", "192.0.2.0/24, all", "192.0.2.0/24,ALL"),
        (TPG_ATTRIBUTES, "allowed_addresses", " ", ""),
        (TPG_ATTRIBUTES, "allowed_initiators", "!*:Web1,*:web*", "!*:web1,*:web*"),
        (TPG_ATTRIBUTES, "redirect_address", "[2001:DB8::1]", "2001:db8::1"),
        (TPG_ATTRIBUTES, "redirect_address", "", ""),
    ],
)
def test_values_as_people_write_them(table: SettingTable, name: str, value: str, kept: object) -> None:
    """Words in any case, numbers in any base, lists with blanks."""
    assert table.parse(name, value) == kept


@pytest.mark.parametrize(
    ("table", "name", "value", "complaint"),
    [
        (TPG_ATTRIBUTES, "login_timeout", 31, "31 is not from 5 to 30"),
        (TPG_ATTRIBUTES, "login_timeout", "soon", "not a whole number"),
        (TPG_ATTRIBUTES, "authentication", 2, "neither 1 nor 0"),
        (TPG_PARAMETERS, "HeaderDigest", "", "is not one of"),
        (TPG_PARAMETERS, "HeaderDigest", "None,none", "names a value twice"),
        (TPG_PARAMETERS, "TargetAlias", "a" * 256, "longer than 255 bytes"),
        (TPG_PARAMETERS, "ErrorRecoveryLevel", 2, "can only be 0 here"),
        (TPG_ATTRIBUTES, "allowed_addresses", "host", "is not an address"),
        (TPG_ATTRIBUTES, "allowed_addresses", "192.0.2.7,,", "is not an address"),
        (TPG_ATTRIBUTES, "allowed_initiators", "a*,A*", "names a pattern twice"),
        (TPG_ATTRIBUTES, "redirect_address", "a,b", "neither an IP address nor a host name"),
        (ACL_ATTRIBUTES, "colour", "red", "has no setting 'colour'"),
    ],
)
def test_values_out_of_range_are_refused_by_name(
    table: SettingTable, name: str, value: int | str, complaint: str
) -> None:
    """The error names the setting and what it may be."""
    with pytest.raises(ConfigurationError, match=complaint):
        table.parse(name, value)


def test_with_defaults_gives_every_setting() -> None:
    """What nobody has set is there with its default."""
    everything = ACL_ATTRIBUTES.with_defaults({"nopin_timeout": 5})
    assert everything["nopin_timeout"] == 5
    assert everything["dataout_timeout"] == 3
    assert len(everything) == len(list(ACL_ATTRIBUTES))


def test_fields_of_scsi_commands_hold_printable_ascii() -> None:
    """As much of it as they have room for; blanks at the end are only padding."""
    assert BACKSTORE_ATTRIBUTES.parse("vendor_id", "ACME    ") == "ACME"
    for wrong in ("ACME AG GmbH", "Ä", "A\n"):
        with pytest.raises(ConfigurationError, match="at most 8 printable ASCII characters"):
            BACKSTORE_ATTRIBUTES.parse("vendor_id", wrong)


def test_designators_are_written_in_hexadecimal() -> None:
    """With all their digits."""
    assert BACKSTORE_ATTRIBUTES.parse("naa_id", "0x50014051234567AB") == "50014051234567ab"
    for wrong in ("50014", "xyz", "5001405123456789zz"):
        with pytest.raises(ConfigurationError, match="16 or 32 hexadecimal digits"):
            BACKSTORE_ATTRIBUTES.parse("naa_id", wrong)


def test_what_was_parsed_before_is_not_mixed_up() -> None:
    """Values that are equal and of other types are others; a value that is none is refused each time."""
    for _ in range(2):
        assert TPG_ATTRIBUTES.parse("login_timeout", 20) == TPG_ATTRIBUTES.parse("login_timeout", "20") == 20
        for value in (True, 1.0, [1], None):
            with pytest.raises(ConfigurationError):
                TPG_ATTRIBUTES.parse("login_timeout", value)  # type: ignore[arg-type]
