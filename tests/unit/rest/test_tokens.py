import os
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from structlog.testing import capture_logs

from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.rest.callers import caller_of
from isthmus.rest.tokens import Tokens, with_token
from tests.support.asgi import ask

ONE, TWO = "first-token-of-all", "second-token-of-all"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two tokens."""
    made = tmp_path / "tokens"
    made.write_text(f"# of the backup host\n{ONE}\n\n  {TWO}  \n")
    made.chmod(0o600)
    return made


def test_what_is_in_the_file_is_known(path: Path) -> None:
    """Each of them, whole, and nothing else."""
    tokens = Tokens(path)
    assert [tokens.known(token.encode()) for token in (ONE, TWO)] == [True, True]
    assert not any(
        tokens.known(token) for token in (b"", ONE[:-1].encode(), b"# of the backup host", f"{ONE}x".encode())
    )


def test_the_file_is_read_again(path: Path) -> None:
    """If it cannot be used, the tokens from before stay."""
    tokens = Tokens(path)
    path.write_text("another-token-at-last\n")
    tokens.reload()
    assert [tokens.known(token) for token in (ONE.encode(), b"another-token-at-last")] == [False, True]
    path.write_text("")
    with pytest.raises(ConfigurationError):
        tokens.reload()
    assert tokens.known(b"another-token-at-last")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("# only this\n\n", "is empty"),
        ("~kurz~", "16 or more"),
        ("two words of one token\n", "16 or more"),
        ("ein-schlüssel-mit-umlaut\n", "16 or more"),
    ],
)
def test_what_is_no_token(path: Path, content: str, problem: str) -> None:
    """The error does not say what stands there."""
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Tokens(path)
    assert not content.strip() or content.strip() not in str(caught.value)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    """With the command that closes it."""
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="open to every user: close it"):
        Tokens(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The error says why."""
    with pytest.raises(ConfigurationError, match="No such file"):
        Tokens(tmp_path / "nothing")


def test_a_pipe_will_do(path: Path) -> None:
    """Nobody else can read it."""
    reading, writing = os.pipe()
    os.write(writing, f"{ONE}\n".encode())
    os.close(writing)
    assert Tokens(Path(f"/dev/fd/{reading}")).known(ONE.encode())
    os.close(reading)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no token"),
        (f"Bearer {ONE}", ""),
        (f"bearer  {TWO}", ""),
        ("Bearer wrong-token-for-sure", "wrong token"),
        ("Bearer", "wrong token"),
        (f"Basic {ONE}", "no token"),
    ],
)
async def test_only_who_has_a_token_gets_in(path: Path, authorization: str | None, reason: str) -> None:
    """Who has not is told nothing of what there is, and is told of, without what they have shown."""
    app = FastAPI()
    callers: list[Caller] = []

    @app.get("/")
    async def root(request: Request) -> None:
        callers.append(caller_of(request))

    headers = {} if authorization is None else {"authorization": authorization}
    with capture_logs() as logs:
        for where in ("/", "/nothing"):
            answer = await ask(with_token(app, Tokens(path)), "GET", where, None, headers)
            if reason:
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.headers["content-type"] == "application/problem+json"
    assert [line["reason"] for line in logs] == ([reason, reason] if reason else [])
    assert "wrong-token-for-sure" not in repr(logs)
    assert [caller.face for caller in callers] == ([] if reason else ["REST"])
