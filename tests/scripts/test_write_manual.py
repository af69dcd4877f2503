"""The manual must be what the program says of itself."""

import subprocess
from collections.abc import Iterator

import click
import pytest

from isthmus.cli.main import isthmus_command
from isthmus.config.declaration.models import Declaration
from scripts import write_manual
from tests.support.clients import needs

PAGES = sorted(write_manual.MANUAL.iterdir())


def test_the_pages_are_up_to_date() -> None:
    """Nobody has to keep them by hand."""
    written = {path.name: path.read_text() for path in PAGES}
    assert written == write_manual.generate(), "run python -m scripts.write_manual"


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Each command that is no group, by its whole name."""
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")
    else:
        yield name, command


def test_every_command_and_option_is_there() -> None:
    """Each verb has its part, with all of its options."""
    parts = write_manual.generate()["isthmus.1"].replace("\\-", "-").split(".SS ")
    for name, command in commands(isthmus_command, "isthmus"):
        [part] = [part for part in parts if part.startswith((f'"{name} ', f'"{name}"'))]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in part for option in parameter.opts), (name, parameter.opts)


def test_every_key_is_there() -> None:
    """Each key of the document, on a line of its own."""
    page = write_manual.generate()["isthmus.toml.5"]
    for key in Declaration.model_fields:
        assert f"\\fB{'$schema' if key == 'schema_location' else key}\\fP\n" in page


def said(*command: str) -> str:
    """All that a checker says of a page."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    return done.stdout + done.stderr


@needs("groff")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_groff_warns_of_nothing(page: object) -> None:
    """With every warning on."""
    assert said("groff", "-k", "-man", "-ww", "-z", "-T", "utf8", str(page)) == ""


@needs("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_mandoc_warns_of_nothing(page: object) -> None:
    """But for matters of taste."""
    assert said("mandoc", "-T", "lint", "-W", "warning", str(page)) == ""
