import dataclasses

import pytest

from isthmus.iscsi.login_policy import Authentication, DiscoveryView, SessionType, TargetView
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName


def test_chap_cannot_be_required_without_secrets() -> None:
    """Nobody could ever log in: a slip of whoever made the view."""
    with pytest.raises(ValueError, match="lookup"):
        Authentication(required=True)


def test_a_view_asks_for_nothing_unless_told_to() -> None:
    """No authentication, our usual offers."""
    view = TargetView(name=IscsiName("iqn.2001-04.com.example"), target_portal_group_tag=1)
    assert (view.authentication, view.offers) == (Authentication(), Offers())
    assert DiscoveryView().authentication == Authentication()


def test_secrets_do_not_show() -> None:
    """What is printed can be logged."""
    shown = repr(Authentication(lookup={"user": b"hidden"}.get, mutual_user="disk", mutual_secret=b"hidden"))
    assert "disk" in shown
    assert "hidden" not in shown


def test_views_cannot_be_changed() -> None:
    """A login in progress is not disturbed by the next configuration."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        DiscoveryView().offers = Offers()  # type: ignore[misc]


def test_session_types_are_spelled_as_on_the_wire() -> None:
    """RFC 7143 §13.21."""
    assert [kind.value for kind in SessionType] == ["Normal", "Discovery"]
