import dataclasses
import json

from isthmus.management.views import ApplyReport, SessionView
from tests.support.session_views import SESSION


def test_a_view_crosses_the_socket() -> None:
    """As a JSON object, with views in it."""
    assert SessionView.read(json.loads(json.dumps(dataclasses.asdict(SESSION)))) == SESSION


def test_what_a_newer_daemon_adds_is_left_out() -> None:
    """And what it need not say has its default."""
    report = ApplyReport.read({"revision": 1, "changes": ["+ x"], "colour": "blue"})
    assert report == ApplyReport(revision=1, changes=("+ x",))
