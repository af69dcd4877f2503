import json
import sys
import threading

import pytest

from isthmus.config.json_text import parse


@pytest.mark.parametrize("text", ["[]", '{"a": {"b": [1, 2.5, null, true]}, "a": {}}', '"text"', "1e3"])
def test_it_is_what_json_reads(text: str) -> None:
    """Whatever the value; of two members of the same name the second counts."""
    assert parse(text) == json.loads(text) == parse(text.encode())


def test_a_mistake_is_told_with_its_place() -> None:
    """As by the standard library."""
    with pytest.raises(json.JSONDecodeError, match="line 2 column 1"):
        parse("{\n")


def test_others_have_the_interpreter_in_between() -> None:
    """While a long text is parsed on a thread, another one goes on."""
    text = json.dumps([{"a": number} for number in range(200_000)])
    assert any(turns_while_parsing(text) > 3 for _ in range(20)), "not once on this machine, however busy"


def turns_while_parsing(text: str) -> int:
    """How often this thread has its turn meanwhile."""
    begun, over = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        parse(text)
        over.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        thread = threading.Thread(target=long)
        thread.start()
        begun.wait()
        turns = 0
        while not over.is_set():
            over.wait(0.0001)
            turns += 1
        thread.join()
    finally:
        sys.setswitchinterval(before)
    return turns
