"""The command `isthmus`: finds the subcommand, loads only that, and turns each error into one line and an exit status.

Exit status: 0 done; 1 it failed; 2 it was asked for something that cannot be, and nothing was changed.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

import click
from typing_extensions import override

import isthmus
from isthmus.errors import ConfigurationError, IsthmusError

__all__ = ["isthmus_command", "main", "run"]

EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2
CALLED: Final[Mapping[str, Sequence[str]]] = {
    "scstadmin": ("scstadmin",),
    "isthmusd": ("daemon",),
    "targetcli": ("shell",),
    "tgt-admin": ("tgt-admin",),
    "tgt-setup-lun": ("tgt-setup-lun",),
    "tgtadm": ("tgtadm",),
}
"""What the program does under another name."""
EXIT_INTERRUPTED: Final = 130
"""What a shell reports of a command that Ctrl-C ended."""


class LazyGroup(click.Group):
    """A group whose subcommands are imported when one is used, so that each costs only its own imports."""

    def __init__(self, *, subcommands: Mapping[str, str], **attributes: object) -> None:
        """`subcommands`: from the name to `module:attribute`."""
        super().__init__(**attributes)  # type: ignore[arg-type]
        self._subcommands = subcommands

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._subcommands)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._subcommands:
            return None
        module, _, attribute = self._subcommands[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command("version", short_help="Print the version.")
def version() -> None:
    """Print the version."""
    click.echo(f"isthmus {isthmus.__version__}")


isthmus_command: Final = LazyGroup(
    name="isthmus",
    help="Files, block devices and memory as iSCSI disks on the network.",
    subcommands={
        "serve": "isthmus.cli.serve:serve",
        "shell": "isthmus.cli.shell_command:shell",
        "scstadmin": "isthmus.cli.scstadmin:scstadmin",
        "tgtadm": "isthmus.cli.tgt:tgtadm",
        "tgt-admin": "isthmus.cli.tgt:tgt_admin",
        "tgt-setup-lun": "isthmus.cli.tgt:tgt_setup_lun",
        "daemon": "isthmus.cli.daemon:daemon",
        "apply": "isthmus.cli.apply:apply",
        "export": "isthmus.cli.apply:export",
        "import": "isthmus.cli.importing:import_",
        "status": "isthmus.cli.running:status",
        "sessions": "isthmus.cli.running:sessions",
        "session": "isthmus.cli.running:session",
        "portals": "isthmus.cli.running:portals",
        "backstores": "isthmus.cli.running:backstores",
        "backstore": "isthmus.cli.verbs.backstore:backstore",
        "target": "isthmus.cli.verbs.target:target",
        "portal": "isthmus.cli.verbs.target:portal",
        "lun": "isthmus.cli.verbs.access:lun",
        "acl": "isthmus.cli.verbs.access:acl",
        "initiator-group": "isthmus.cli.verbs.initiator_group:initiator_group",
        "discovery": "isthmus.cli.verbs.target:discovery",
        "completion": "isthmus.cli.verbs.completion:completion",
        "stats": "isthmus.cli.figures:stats",
        "top": "isthmus.cli.top:top",
        "events": "isthmus.cli.happenings:events",
        "audit": "isthmus.cli.happenings:audit",
        "initiator": "isthmus.cli.initiator:initiator",
        "version": "isthmus.cli.main:version",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Print the version.",
            callback=lambda context, _option, wanted: print_version(context) if wanted else None,
        )
    ],
)


def print_version(context: click.Context) -> NoReturn:
    """What `--version` does."""
    click.echo(f"isthmus {isthmus.__version__}")
    context.exit()


def run(arguments: Sequence[str]) -> int:
    """Do what `arguments` (without the program's name) say and give the exit status."""
    try:
        result = isthmus_command.main(list(arguments), prog_name="isthmus", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_REFUSED
    except click.ClickException as error:
        return fail(error.format_message(), error.exit_code)
    except ConfigurationError as error:
        return fail(str(error), EXIT_REFUSED)
    except IsthmusError as error:
        return fail(str(error), EXIT_FAILED)
    except click.Abort:
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def fail(message: str, status: int) -> int:
    """Say in one line on standard error what went wrong, and give `status` back."""
    click.echo(f"isthmus: {' '.join(message.split())}", err=True)
    return status


def main() -> NoReturn:
    """The entry point. Called `targetcli` or `isthmusd` (by a link), the program is the shell or the daemon."""
    called = Path(sys.argv[0]).name
    sys.exit(run([*CALLED.get(called, ()), *sys.argv[1:]]))
