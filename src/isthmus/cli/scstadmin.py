"""`isthmus scstadmin`: SCST's command on the running daemon; also what runs when the program is called `scstadmin`.

Its words are its own: each option has one hyphen, the verb is one of them, and a verb may have an operand.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from isthmus.errors import ConfigurationError

if TYPE_CHECKING:
    from isthmus.compat.scst.admin_request import Request
    from isthmus.management.client import Client

__all__ = ["parse", "scstadmin"]

_FLAGS: Final = ("force", "noprompt", "nonkey", "cont_on_err", "lip", "no_lip", "debug", "h", "help")
_WORDS: Final = ("driver", "target", "group", "device", "handler", "attributes", "to", "dev_group", "tgt_group")
_FILES: Final = ("config", "check_config", "write_config")
_WITHOUT_OPERAND: Final = (
    "clear_config",
    "clear_inits",
    "clear_luns",
    "list_sessions",
    "list_scst_attr",
    "set_scst_attr",
)
_OPERAND_MAY_LACK: Final = ("list_handler", "list_device", "list_driver", "list_target", "list_group", "list_dgrp")
_OPERAND_MAY_LACK_TOO: Final = ("list_tgrp", "issue_lip")
_ASKED_FIRST: Final = ("set_", "rem_drv", "rem_tgt", "close_dev", "rem_target", "rem_group", "rem_init", "move_init")
_ASKED_FIRST_TOO: Final = ("clear_", "rem_lun", "replace_lun", "disable_target")


@click.command(
    "scstadmin",
    short_help="Look at and change what the daemon serves, as with scstadmin.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
@click.argument("words", nargs=-1, metavar="-VERB [OPERAND] [-MODIFIER WORD]...", type=click.UNPROCESSED)
def scstadmin(words: tuple[str, ...]) -> int:
    r"""Work on the daemon as SCST's command of that name does: one verb at a time, for the driver iscsi.

    \b
    -config FILE, -check_config FILE, -write_config FILE, -clear_config
    -list_handler, -list_device, -list_driver, -list_target, -list_group, -list_sessions, -list_..._attr
    -open_dev, -close_dev, -add_target, -enable_target, -add_group, -add_init, -add_lun, -set_..._attr, ...
    """
    request, flags = parse(words)
    if flags & {"h", "help"} or not request.verb:
        click.echo(click.get_current_context().get_help())
        return 0 if flags & {"h", "help"} else 1
    if _is_asked_first(request) and "noprompt" not in flags and not _is_sure():
        click.echo("Aborting action.")
        return 0
    for line in _carried_out(request, dry_run="debug" in flags):
        click.echo(line)
    click.echo("\nAll done.")
    return 0


def parse(words: Sequence[str]) -> "tuple[Request, frozenset[str]]":
    """The verb with its operand and modifiers, and the flags; raises `ConfigurationError`."""
    from isthmus.compat.scst.admin_request import Request

    left, verb, operand = list(words), "", ""
    modifiers, flags = dict[str, str](), set[str]()
    while left:
        name, equals, value = _name(left.pop(0)).partition("=")
        if name in _FLAGS:
            flags.add(name)
            continue
        if name not in _WORDS and verb:
            raise ConfigurationError(f"-{verb} and -{name} are two verbs", "one at a time")
        if not equals and name not in _WITHOUT_OPERAND:
            may_lack = name in (*_OPERAND_MAY_LACK, *_OPERAND_MAY_LACK_TOO)
            if left and not (left[0].startswith("-") and may_lack):
                value = left.pop(0)
            elif not may_lack:
                raise ConfigurationError(f"-{name} wants a word", "see scstadmin(1)")
        if name in _WORDS:
            modifiers[name] = value
        else:
            verb, operand = name, value
    return Request(verb=verb, operand=operand, words=modifiers, force="force" in flags), frozenset(flags)


def _name(word: str) -> str:
    """An option without its hyphens, written out; raises `ConfigurationError`."""
    if not word.startswith("-"):
        raise ConfigurationError(f"{word!r} is neither a verb nor a modifier", "each begins with a hyphen")
    name, equals, value = word.lstrip("-").partition("=")
    known = _names()
    matching = [name] if name in known else [other for other in known if other.startswith(name)]
    if len(matching) != 1:
        problem = (
            f"-{name} is not known" if not matching else f"-{name} may be {', '.join(f'-{one}' for one in matching)}"
        )
        raise ConfigurationError(problem, "see scstadmin(1)")
    return f"{matching[0]}{equals}{value}"


def _names() -> list[str]:
    from isthmus.compat.scst.admin_lists import LISTS
    from isthmus.compat.scst.admin_verbs import EDITS, UNAVAILABLE

    return [*_FLAGS, *_WORDS, *_FILES, "clear_config", "list_sessions", *LISTS, *EDITS, *UNAVAILABLE]


def _is_asked_first(request: "Request") -> bool:
    if request.verb == "config":
        return request.force
    return request.verb.startswith((*_ASKED_FIRST, *_ASKED_FIRST_TOO))


def _is_sure() -> bool:
    click.echo("This may lose or damage data: are you sure (y/[n]) ? ", nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _carried_out(request: "Request", *, dry_run: bool) -> Iterator[str]:
    """Do it, and give the lines to print."""
    from isthmus.compat.scst.admin_lists import LISTS, session_lines
    from isthmus.compat.scst.admin_tree import Tree
    from isthmus.compat.scst.admin_verbs import UNAVAILABLE
    from isthmus.management.client import Client

    if request.verb in UNAVAILABLE:
        raise ConfigurationError(f"-{request.verb} is not done here", UNAVAILABLE[request.verb])
    client = Client()
    if request.verb in _FILES:
        yield from _files(client, request, dry_run=dry_run)
        return
    configuration, _ = client.configuration()
    yield from ("Collecting current configuration: done.", "")
    if request.verb in LISTS:
        yield from LISTS[request.verb](Tree(configuration), request)
    elif request.verb == "list_sessions":
        yield from session_lines(sorted(configuration.targets), client.sessions())
    else:
        yield from _changed(client, request, dry_run=dry_run)


def _changed(client: "Client", request: "Request", *, dry_run: bool) -> Iterator[str]:
    from isthmus.compat.scst.admin_tree import edited
    from isthmus.compat.scst.admin_verbs import EDITS
    from isthmus.config.model import Configuration

    yield "-> Making requested changes."
    report = client.change(
        (lambda _: Configuration())
        if request.verb == "clear_config"
        else lambda running: edited(running, lambda tree: EDITS[request.verb](tree, request), strict=request.is_strict),
        force=request.force or request.verb == "clear_config",
        dry_run=dry_run,
    )
    yield from (f"\t{change}" for change in report.changes)
    yield from (f"\twarning: {warning}" for warning in report.warnings)
    yield f"-> Done, {len(report.changes)} change(s) {'to make' if dry_run else 'made'}."


# -- Files -------------------------------------------------------------------------------------------------------------


def _files(client: "Client", request: "Request", *, dry_run: bool) -> Iterator[str]:
    """-config, -check_config and -write_config."""
    from isthmus.compat.importer import Surroundings, file_text
    from isthmus.compat.merging import merge
    from isthmus.compat.scst.reader import read
    from isthmus.compat.scst.writer import write
    from isthmus.server.machine import machine_serial

    running, revision = client.configuration()
    name = str(Path(request.operand).absolute())
    if request.verb == "write_config":
        exported = write(running)
        _write_private(Path(name), exported.text)
        yield f"Writing current configuration to file '{request.operand}'.. done."
        yield from exported.remarks
        return
    imported = read(file_text(name), name, Surroundings(running=running, new_serial=machine_serial))
    yield from map(str, imported.findings)
    wanted = imported.configuration if request.force else merge(running, imported.configuration)
    only_look = dry_run or request.verb == "check_config"
    report = client.replace(wanted, revision, force=request.force, dry_run=only_look)
    yield from report.changes
    yield from report.warnings
    count = len(report.changes)
    yield f"Configuration checked, {count} change(s) to make." if only_look else f"-> Done, {count} change(s) made."


def _write_private(path: Path, text: str) -> None:
    """Replace a file that others may not read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
