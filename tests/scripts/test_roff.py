"""Words must come out of roff as they went in."""

import shutil
import subprocess

import pytest

from scripts import roff
from tests.support.clients import needs

AWKWARD = ("a\\nb", ".SH no", "'ll", "--option", "it's", "`", '"quoted"', "~/x", "a^b", "…")


def rendered(page: str) -> str:
    """What a reader sees of a page, without the lines that groff puts around it."""
    groff = shutil.which("groff")
    assert groff is not None
    done = subprocess.run(
        [groff, "-k", "-man", "-ww", "-T", "utf8", "-P-cbou"], input=page, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


@needs("groff")
@pytest.mark.parametrize("words", AWKWARD)
def test_words_are_what_they_were(words: str) -> None:
    """As a paragraph, as an example and as a term."""
    lines = [roff.head("x", 1, "2026-01-01", manual="M"), roff.section("S"), roff.paragraphs(f"{words} after")]
    lines += [roff.section("T"), roff.paragraphs("An example:\n\n    " + words), roff.item(words, "what it means")]
    shown = rendered("".join(lines))
    if words != "`":  # in prose it marks code
        assert f"{words} after" in shown
    assert f"\n           {words}\n" in shown
    assert f"\n       {words} " in shown or f"\n       {words}\n" in shown


def test_code_is_bold() -> None:
    """Also where its words stand on two lines of the source."""
    assert roff.paragraphs("As `isthmus\nserve` does.") == "As \\fBisthmus serve\\fP does.\n"


def test_paragraphs_are_apart() -> None:
    """By the macro, which may not follow a heading."""
    assert roff.paragraphs("one\n\ntwo") == "one\n.PP\ntwo\n"


def test_clicks_mark_keeps_lines() -> None:
    """What follows a line with a backspace is not filled."""
    assert roff.paragraphs("\b\na  b\nc") == ".nf\n.RS 4\na  b\nc\n.RE\n.fi\n"


def test_a_term_without_meaning_is_one() -> None:
    """The next term must not be taken for its meaning."""
    assert roff.item("a", "") == ".TP\n\\fBa\\fP\n\\&\n"
