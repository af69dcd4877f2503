import pytest

from isthmus.compat.importer import Finding, ImportSyntaxError
from isthmus.compat.scst.grammar import parse
from isthmus.compat.scst.report import Attribute, Report, Row, apply, attributes, flag, number
from isthmus.config.declaration.errors import Position
from isthmus.errors import ConfigurationError

PLACE = Position(3, 5)


def refuse(draft: list[str], value: str) -> None:
    """A row's `take` that wants nothing here."""
    raise ConfigurationError("not here")


def nonsense(draft: list[str], value: str) -> None:
    """A row's `take` for which the value means nothing."""
    raise ValueError("it is no colour")


def told(row: Row[list[str]] | None, value: str = "1") -> tuple[list[str], list[str]]:
    """What the draft holds, and what is told, after an attribute."""
    report, draft = Report("f"), list[str]()
    rows = {} if row is None else {"colour": row}
    apply(Attribute("colour", value, PLACE), rows, draft, "DEVICE d", report)
    return draft, [str(finding) for finding in report.findings]


def test_a_row_takes_its_value() -> None:
    """Nothing is told of it."""
    assert told(Row(take=list[str].append)) == (["1"], [])


@pytest.mark.parametrize(
    ("row", "value", "findings"),
    [
        (None, "1", ["f:3: colour of DEVICE d: there is no such setting here; it is left out"]),
        (Row(), "1", []),
        (Row(instead="it is grey"), "1", ["f:3: colour 1 of DEVICE d: it is grey"]),
        (Row(instead="it is grey"), "0", []),
        (Row(instead="it is grey", harmless=frozenset({"7"})), "7", []),
        (Row(take=refuse), "1", ["f:3: colour 1 of DEVICE d: not here; it is left out"]),
    ],
)
def test_what_is_not_done_is_told_once(row: Row[list[str]] | None, value: str, findings: list[str]) -> None:
    """With the line, what it means, and what happens instead; a value that asks for nothing is no news."""
    assert told(row, value) == ([], findings)


def test_a_word_alone_is_not_told() -> None:
    """It may be a secret that has lost its name."""
    _, findings = told(None, "")
    assert findings == ["f:3: a word without a value in DEVICE d: it is left out"]


def test_a_value_without_a_meaning_is_an_error() -> None:
    """SCST would refuse it as well, and to go on without it may open what was to be closed."""
    with pytest.raises(ImportSyntaxError, match=r"^f:3:5: colour 1 of DEVICE d: it is no colour$"):
        told(Row(take=nonsense))


def test_attributes_are_what_else_a_section_holds() -> None:
    """Those without a value have an empty one."""
    (section,), _ = parse("DEVICE d {\nLUN 0 x\nfilename /a\nHW_TARGET\n}")
    found = attributes(section, frozenset({"LUN"}), Report("f"))
    assert [(one.name, one.value) for one in found] == [("filename", "/a"), ("HW_TARGET", "")]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a b c", "f:2:5: a has a word too many"), ("a b {\n}", "f:2:1: there is no section 'a' in DEVICE")],
)
def test_what_is_no_attribute_is_an_error(text: str, place: str) -> None:
    """A value that lost its quotes, or a section that is not known."""
    (section,), _ = parse(f"DEVICE d {{\n{text}\n}}")
    with pytest.raises(ImportSyntaxError, match=place):
        list(attributes(section, frozenset(), Report("f")))


def test_a_statement_must_have_its_words() -> None:
    """The error names what is missing."""
    (statement,), _ = parse("DEVICE")
    with pytest.raises(ImportSyntaxError, match="f:1:1: DEVICE does not say which device"):
        Report("f").operand(statement, 1, "which device")


@pytest.mark.parametrize("error", [ConfigurationError("no", "do"), ValueError("no: do")])
def test_errors_get_their_place(error: Exception) -> None:
    """Whatever the model has to say."""
    with pytest.raises(ImportSyntaxError, match="f:3:5: no: do"), Report("f").at(PLACE):
        raise error


def test_findings_come_in_the_order_of_the_file() -> None:
    """However the file was read."""
    report = Report("f")
    report.say(Position(9, 1), "b", "c")
    report.say(Position(2, 1), "a", "c")
    assert report.in_order() == (Finding("f", 2, "a", "c"), Finding("f", 9, "b", "c"))


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0x1F", 31), ("18", 18)])
def test_numbers_are_written_as_in_c(text: str, value: int) -> None:
    """Decimal or hexadecimal."""
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1_0", "٣", "x", "0x", "9" * 20])
def test_other_numbers_are_refused(text: str) -> None:
    """Whatever Python would make of them."""
    with pytest.raises(ValueError, match="not a number"):
        number(text)


def test_a_flag_is_0_or_1() -> None:
    """Nothing else is."""
    assert (flag("0"), flag("1")) == (False, True)
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        flag("yes")
