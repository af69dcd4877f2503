import json

from isthmus.rest import plain_problems
from isthmus.rest.problems import respond


def test_it_is_like_any_other_problem() -> None:
    """Whoever reads it need not know that nothing had begun."""
    body = plain_problems.body(400, "what is “this”?")
    assert json.loads(body) == json.loads(bytes(respond(400, "what is “this”?").body))
