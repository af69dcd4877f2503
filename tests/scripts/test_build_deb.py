"""What the Debian package is told; that it installs is for tests/packaging/test_deb.py."""

from pathlib import Path

import pytest

from isthmus.cli.main import CALLED
from scripts import build_deb


@pytest.mark.parametrize(
    ("ours", "debians"),
    [("0.1.0", "0.1.0-1"), ("1.0rc2", "1.0~rc2-1"), ("1.0.dev3", "1.0~dev3-1"), ("2.0a1", "2.0~a1-1")],
)
def test_what_comes_before_a_release_sorts_before_it(ours: str, debians: str) -> None:
    """A tilde sorts before the end of a version, deb-version(7)."""
    assert build_deb.debian_version(ours) == debians


def test_the_times_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://reproducible-builds.org/specs/source-date-epoch/ has it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert build_deb.source_date() == 1_700_000_000


def test_the_changelog_is_debians() -> None:
    """As deb-changelog(5) has it, to the space."""
    lines = build_deb.changelog("1.0-1", "Tue, 14 Nov 2023 22:13:20 -0000").splitlines()
    assert lines[0] == "isthmus (1.0-1) unstable; urgency=medium"
    assert lines[-1] == f" -- {build_deb.MAINTAINER}  Tue, 14 Nov 2023 22:13:20 -0000"


def test_every_name_of_the_program_is_linked() -> None:
    """The daemon's among the programs, those of other targets out of their packages' way."""
    links = dict(line.split()[::-1] for line in (build_deb.DEBIAN / "isthmus.links").read_text().splitlines())
    assert set(links.values()) == {"usr/bin/isthmus"}
    assert {Path(link).name for link in links} == set(CALLED)
    assert {link for link in links if not link.startswith("usr/lib/isthmus/bin/")} == {"usr/bin/isthmusd"}


def test_maintainer_and_control_agree() -> None:
    """Who is named in the changelog is named in the control file."""
    assert f"Maintainer: {build_deb.MAINTAINER}\n" in (build_deb.DEBIAN / "control").read_text()
