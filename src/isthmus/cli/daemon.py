"""`isthmus daemon`: serve a saved configuration, and be controlled over a socket."""

from pathlib import Path

import click

from isthmus.cli.parameters import PORTAL
from isthmus.cli.serve import default_portal
from isthmus.server.options import LogLevel, Portal

__all__ = ["daemon"]


@click.command(short_help="Serve the saved configuration, controlled by the shell.")
@click.option(
    "--portal",
    "portals",
    type=PORTAL,
    metavar="ADDR[:PORT]",
    multiple=True,
    help="Where targets listen that name no portal. Repeatable.  [default: every address, 3260]",
)
@click.option(
    "--state",
    "state_directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    envvar="ISTHMUS_STATE",
    show_envvar=True,
    help="Keep the configuration here.  [default: /var/lib/isthmus, or the user's own]",
)
@click.option(
    "--run",
    "run_directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    envvar="ISTHMUS_RUN",
    show_envvar=True,
    help="Make the control socket here.  [default: /run/isthmus, or the user's own]",
)
@click.option("--control-group", metavar="GROUP", help="Let the members of GROUP control the daemon, too.")
@click.option(
    "--log-level",
    type=click.Choice([level.value for level in LogLevel]),
    default=LogLevel.INFO.value,
    show_default=True,
)
def daemon(
    *,
    portals: tuple[Portal, ...],
    state_directory: Path | None,
    run_directory: Path | None,
    control_group: str | None,
    log_level: str,
) -> int:
    """Serve the targets of the saved configuration; `isthmus shell` changes it while it runs.

    It prints a line `ready: SOCKET` when it serves and can be controlled. SIGTERM or Ctrl-C stops it in order, a second
    one at once; SIGHUP has it read the saved configuration again.
    """
    from isthmus.daemon.run import DaemonOptions, run
    from isthmus.management.places import default_run_directory
    from isthmus.server.logging import configure_logging
    from isthmus.server.state_directory import default_state_directory

    level = LogLevel(log_level)
    configure_logging(level)
    options = DaemonOptions(
        state_directory=state_directory or default_state_directory(),
        run_directory=run_directory or default_run_directory(),
        portals=portals or (default_portal(),),
        control_group=control_group,
        log_level=level,
    )
    return run(options)
