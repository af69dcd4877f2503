import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.compat.scst.accounts import Accounts
from isthmus.compat.scst.report import Attribute, Report
from isthmus.config.declaration.errors import Position
from isthmus.config.model import Account, Chap

SECRET = "top-secret-42"


def read(*accounts: tuple[str, str]) -> tuple[Chap, list[str]]:
    """The credentials that attributes make, and what is told."""
    report, found = Report("f"), Accounts()
    for line, (name, value) in enumerate(accounts, start=1):
        assert found.take(Attribute(name, value, Position(line, 1)))
    return found.chap("TARGET t", report), [str(finding) for finding in report.findings]


def test_names_and_secrets() -> None:
    """What initiators prove, and what is proved to them."""
    assert read(("IncomingUser", f"joe {SECRET}"), ("OutgoingUser", "tgt \t x")) == (
        Chap(userid="joe", password=SECRET, mutual_userid="tgt", mutual_password="x"),
        [],
    )


def test_any_number_may_log_in() -> None:
    """With SCST each of them may."""
    chap, findings = read(("IncomingUser", "joe a"), ("IncomingUser1", "ann b"))
    assert (chap, findings) == (Chap(userid="joe", password="a", others=(Account("ann", "b"),)), [])


def test_a_secret_may_hold_anything() -> None:
    """Blanks, quotes, a hash, bytes that are no UTF-8."""
    secret = 'a b  "#{}\\\x00\udcff '
    assert read(("IncomingUser", f"joe {secret}"))[0].password == secret


def test_without_accounts_nobody_is_asked() -> None:
    """Nor is anything proved to anybody."""
    assert read() == (Chap(), [])
    chap, findings = read(("OutgoingUser", f"tgt {SECRET}"))
    assert chap == Chap()
    assert findings == [
        (
            "f:1: OutgoingUser of TARGET t without IncomingUser: "
            "nobody is asked for a secret, so nothing is proved to anybody either"
        )
    ]


def test_other_attributes_are_no_accounts() -> None:
    """Numbers behind the name are SCST's."""
    accounts = Accounts()
    taken = [accounts.take(Attribute(name, "a b", Position(1, 1))) for name in ("IncomingUser12", "IncomingUsers", "x")]
    assert taken == [True, False, False]


@pytest.mark.parametrize("value", ["", "joe", "joe ", " "])
def test_an_account_has_both(value: str) -> None:
    """An error names the place, never the value."""
    with pytest.raises(ImportSyntaxError, match="f:1:1: IncomingUser is a name and a secret"):
        read(("IncomingUser", value))


def test_no_secret_is_told() -> None:
    """Not even one that is too long."""
    with pytest.raises(ImportSyntaxError, match="longer than 255 bytes") as caught:
        read(("IncomingUser", "joe " + SECRET * 40))
    assert SECRET not in str(caught.value)
    chap, findings = read(
        ("IncomingUser", f"joe {SECRET}"), ("OutgoingUser", f"t {SECRET}"), ("OutgoingUser1", f"u {SECRET}")
    )
    assert SECRET not in repr(chap) + str(findings)
    assert findings == ["f:3: one more OutgoingUser of TARGET t: the first one counts"]
