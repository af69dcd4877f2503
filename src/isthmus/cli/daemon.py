"""`isthmus daemon`: serve a saved configuration, and be controlled over a socket."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from isthmus.cli.parameters import PORTAL
from isthmus.cli.serve import default_portal
from isthmus.errors import ConfigurationError
from isthmus.server.options import LogLevel, Portal

if TYPE_CHECKING:
    from isthmus.rest.network_server import NetworkOptions

__all__ = ["daemon"]

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


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
    "--advertise",
    "advertised",
    type=PORTAL,
    metavar="ADDR[:PORT]",
    multiple=True,
    envvar="ISTHMUS_ADVERTISE",
    show_envvar=True,
    help="What discovery tells of portals on every address, where initiators reach them by another one: behind NAT, or in"
    " a container. Repeatable.  [default: the address that the initiator came to]",
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
@click.option(
    "--tgt-socket",
    metavar="PREFIX",
    help="Answer tgtadm at PREFIX.0, as tgtd does (it looks at /var/run/tgtd/socket).  [default: do not]",
)
@click.option(
    "--api-listen",
    type=PORTAL,
    metavar="ADDR:PORT",
    help="Offer the control socket's interface on the network, too, by TLS and for who has a token.",
)
@click.option("--api-certificate", type=_FILE, metavar="FILE", help="Its certificate (PEM, with the chain).")
@click.option("--api-key", type=_FILE, metavar="FILE", help="The certificate's key (PEM, closed to others).")
@click.option(
    "--api-token-file",
    type=_FILE,
    metavar="FILE",
    help="The tokens that it takes, one a line (closed to others).",
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
    advertised: tuple[Portal, ...],
    state_directory: Path | None,
    run_directory: Path | None,
    tgt_socket: str | None,
    control_group: str | None,
    api_listen: Portal | None,
    api_certificate: Path | None,
    api_key: Path | None,
    api_token_file: Path | None,
    log_level: str,
) -> int:
    """Serve the targets of the saved configuration; `isthmus shell` changes it while it runs.

    It prints a line `ready: SOCKET` when it serves and can be controlled. SIGTERM or Ctrl-C stops it in order, a second
    one at once; SIGHUP has it read the saved configuration again.
    """
    if "structlog" not in sys.modules:
        # It loads rich wherever that is installed, for pictures of errors that nobody draws here: 4 MiB.
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # what marks a module that is not there
    from isthmus.daemon.run import DaemonOptions, run
    from isthmus.management.places import default_run_directory
    from isthmus.server.logging import configure_logging
    from isthmus.server.state_directory import default_state_directory

    api = _api(api_listen, api_certificate, api_key, api_token_file)
    level = LogLevel(log_level)
    configure_logging(level)
    options = DaemonOptions(
        state_directory=state_directory or default_state_directory(),
        run_directory=run_directory or default_run_directory(),
        portals=portals or (default_portal(),),
        advertised=advertised,
        tgt_socket=tgt_socket or "",
        control_group=control_group,
        api=api,
        log_level=level,
    )
    return run(options)


def _api(
    listen: Portal | None, certificate: Path | None, key: Path | None, tokens: Path | None
) -> "NetworkOptions | None":
    """What the options say of the interface on the network; raises `ConfigurationError` if they say only half of it."""
    from isthmus.rest.network_server import NetworkOptions

    if listen is None:
        if certificate or key or tokens:
            raise ConfigurationError("the API is given files, but no address", "add --api-listen ADDR:PORT")
        return None
    if certificate is None or key is None:
        raise ConfigurationError("the API is not offered without TLS", "add --api-certificate FILE and --api-key FILE")
    if tokens is None:
        raise ConfigurationError("the API is not offered without a token", "add --api-token-file FILE")
    return NetworkOptions(listen=listen, certificate=certificate, key=key, tokens=tokens)
