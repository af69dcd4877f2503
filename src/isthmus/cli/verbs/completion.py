"""What the user's shell offers on a tab: the verbs and their options, and the names of what there is in the daemon."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import get_completion_class

from isthmus.errors import IsthmusError

if TYPE_CHECKING:
    from isthmus.config.model import Configuration

__all__ = ["backstore_names", "completion", "initiator_group_names", "initiator_names", "target_names"]

_SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_ISTHMUS_COMPLETE"
_SECONDS: Final = 2.0
"""Nobody waits longer for a tab."""


@click.command("completion", short_help="Print what makes a shell complete commands.")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(*, shell: str) -> None:
    """Print the script that makes SHELL complete this program's commands, options and names.

    For bash: isthmus completion bash > /etc/bash_completion.d/isthmus
    """
    found = get_completion_class(shell)
    if found is None:
        raise AssertionError(shell)
    # Not its `source()`: that first runs a bash to see how old it is.
    script = found(click.Command("isthmus"), {}, "isthmus", _VARIABLE)
    click.echo(script.source_template % script.source_vars())


def _running() -> "Iterator[Configuration]":
    """What runs; nothing if nobody answers."""
    from isthmus.management.client import Client

    with contextlib.suppress(IsthmusError):
        yield Client(timeout=_SECONDS).configuration()[0]


def _beginning(names: Iterable[str], start: str) -> list[str]:
    return sorted({name for name in names if name.startswith(start)})


def target_names(_context: click.Context, _parameter: Any, start: str) -> list[str]:
    """The targets."""
    return _beginning((name for running in _running() for name in running.targets), start)


def backstore_names(_context: click.Context, _parameter: Any, start: str) -> list[str]:
    """The backstores, as KIND/NAME."""
    return _beginning((f"{key.kind}/{key.name}" for running in _running() for key in running.backstores), start)


def initiator_names(_context: click.Context, _parameter: Any, start: str) -> list[str]:
    """The initiators that have a node ACL."""
    return _beginning(
        (
            acl.name
            for running in _running()
            for target in running.targets.values()
            for group in target.portal_groups
            for acl in group.node_acls
        ),
        start,
    )


def initiator_group_names(_context: click.Context, _parameter: Any, start: str) -> list[str]:
    """The initiator groups."""
    return _beginning(
        (
            initiators.name
            for running in _running()
            for target in running.targets.values()
            for group in target.portal_groups
            for initiators in group.initiator_groups
        ),
        start,
    )
