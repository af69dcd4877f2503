"""`tgtadm`, `tgt-admin` and `tgt-setup-lun` for machines without tgt: the same options, the same output, the same daemon."""

import getopt
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

import isthmus
from isthmus.errors import ConfigurationError
from isthmus.management.errors import DaemonError, DaemonUnreachableError

if TYPE_CHECKING:
    from isthmus.compat.tgt.admin import Admin
    from isthmus.compat.tgt.grammar import Block

__all__ = ["tgt_admin", "tgt_setup_lun", "tgtadm"]

_RAW: Final = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
"""tgt's programs read their own options."""
_UNREACHABLE: Final = 107
"""ENOTCONN, which tgtadm ends with if there is no daemon."""
_INVALID: Final = 22


@click.command("tgtadm", short_help="Do what tgt's tgtadm does.", context_settings=_RAW)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tgtadm(*, arguments: tuple[str, ...]) -> int:
    """Ask a daemon with --tgt-socket: ARGUMENTS are those of tgt's own program of this name."""
    from isthmus.compat.tgt.arguments import UsageError, parse_arguments
    from isthmus.compat.tgt.client import TgtClient
    from isthmus.compat.tgt.errors import MESSAGES

    try:
        call = parse_arguments(arguments)
        if "version" in call.asks:
            click.echo(isthmus.__version__)
        elif "help" in call.asks:
            click.echo(_tgtadm_help(), nl=False)
        if call.asks:
            return 0
        response = TgtClient(call.control_port).ask(call.request)
    except UsageError as error:
        return _failed("tgtadm", str(error), error.status)
    except ConfigurationError as error:
        return _failed("tgtadm", str(error), _INVALID)
    except DaemonUnreachableError as error:
        return _failed("tgtadm", str(error), _UNREACHABLE)
    except DaemonError as error:
        return _failed("tgtadm", str(error), 1)
    if response.status:
        return _failed("tgtadm", MESSAGES.get(response.status, "(unknown tgtadm_errno)"), _INVALID)
    _print(response.text)
    return 0


def _tgtadm_help() -> str:
    """From the table."""
    from isthmus.compat.tgt.arguments import MODES, OPERATIONS
    from isthmus.compat.tgt.operations import ROWS

    modes = {mode: name for name, mode in reversed(list(MODES.items()))}
    operations = {operation: name for name, operation in OPERATIONS.items()}
    lines = [f"--mode {modes[row.mode]} --op {operations[row.operation]}\n\t{row.about}\n" for row in ROWS]
    return "Usage: tgtadm [OPTION]\n" + "".join(lines)


def _failed(program: str, message: str, status: int) -> int:
    click.echo(f"{program}: {message}", err=True)
    return status


def _print(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


# -- tgt-admin ---------------------------------------------------------------------------------------------------------

_DEFAULT_FILE: Final = "/etc/tgt/targets.conf"
_ADMIN_SHORT: Final = "esC:c:d:fpvh"
_ADMIN_LONG: Final[Mapping[str, str]] = {
    "execute": "e",
    "show": "s",
    "control-port=": "C",
    "conf=": "c",
    "force": "f",
    "pretend": "p",
    "verbose": "v",
    "help": "h",
    "delete=": "d",
    "offline=": "offline",
    "ready=": "ready",
    "update=": "update",
    "ignore-errors": "ignore-errors",
    "dump": "dump",
}
_ADMIN_HELP: Final = """\
Usage:
tgt-admin [OPTION]...
This tool configures tgt targets.

  -e, --execute                 read /etc/tgt/targets.conf and do what it says
  -d, --delete <value>          delete all or selected targets: ALL, tid=N or a name
      --offline <value>         put all or selected targets in offline state
      --ready <value>           put all or selected targets in ready state
      --update <value>          update configuration for all or selected targets
  -s, --show                    show all the targets
  -C, --control-port <NNNN>     specify the control port to connect to
  -c, --conf <conf file>        specify an alternative configuration file
      --ignore-errors           continue even if tgtadm exits with non-zero code
  -f, --force                   force some operations even if the target is in use
  -p, --pretend                 only print tgtadm options
      --dump                    dump the configuration (without secrets and detailed parameters)
  -v, --verbose                 increase verbosity (show tgtadm commands)
  -h, --help                    show this help
"""


@click.command("tgt-admin", short_help="Do what tgt's tgt-admin does.", context_settings=_RAW)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tgt_admin(*, arguments: tuple[str, ...]) -> int:
    """Have a daemon with --tgt-socket do what targets.conf says, as tgt-admin(8) does; ARGUMENTS are tgt-admin's."""
    from isthmus.compat.tgt.admin import AdminStopped

    try:
        given = _admin_options(arguments)
        if not given or "h" in given:
            click.echo(_ADMIN_HELP, nl=False)
        else:
            _administer(given)
    except AdminStopped as error:
        click.echo(error.problem)
        return error.status
    except DaemonUnreachableError as error:
        return _failed("tgt-admin", str(error), _UNREACHABLE)
    except (ConfigurationError, DaemonError) as error:
        return _failed("tgt-admin", str(error), 1)
    return 0


def _admin_options(arguments: Sequence[str]) -> dict[str, str]:
    try:
        found, rest = getopt.gnu_getopt(list(map(_spelled_out, arguments)), _ADMIN_SHORT, list(_ADMIN_LONG))
    except getopt.GetoptError as error:
        raise ConfigurationError(error.msg) from None
    if rest:
        raise ConfigurationError(f"{rest[0]!r} is no option")
    names = {f"--{name.removesuffix('=')}": short for name, short in _ADMIN_LONG.items()}
    return {names.get(name, name.lstrip("-")): value for name, value in found}


def _spelled_out(argument: str) -> str:
    """A word behind one hyphen is an option as well (Getopt::Long): `-update` is `--update`."""
    name = argument.partition("=")[0].removeprefix("-")
    is_word = len(name) > 1 and not name.startswith("-") and argument.startswith("-")
    return f"-{argument}" if is_word and any(known.startswith(name) for known in _ADMIN_LONG) else argument


def _administer(given: Mapping[str, str]) -> None:
    from isthmus.compat.importer import path_kind
    from isthmus.compat.tgt.admin import Admin
    from isthmus.compat.tgt.client import TgtClient

    port = given.get("C", "0")
    if not (port.isascii() and port.isdigit()):
        raise ConfigurationError(f"{port!r} is no control port")
    admin = Admin(
        TgtClient(int(port)).ask,
        click.echo,
        path_kind,
        control_port=int(port),
        force="f" in given,
        pretend="p" in given,
        verbose="v" in given,
        ignore_errors="ignore-errors" in given,
    )
    _ADMIN_ACTIONS[next((name for name in _ADMIN_ACTIONS if name in given), "")](admin, given)


def _configured(given: Mapping[str, str]) -> "Block":
    from isthmus.compat.importer import Surroundings, file_text
    from isthmus.compat.tgt.grammar import parse

    name = str(Path(given.get("c", _DEFAULT_FILE)).absolute())
    return parse(file_text(name), name, Surroundings(new_serial=str)).root


def _nothing(_admin: "Admin", _given: Mapping[str, str]) -> None:
    click.echo("No action specified.")


_ADMIN_ACTIONS: Final[Mapping[str, Callable[["Admin", Mapping[str, str]], None]]] = {
    "s": lambda admin, _: _print(admin.shown()),
    "e": lambda admin, given: admin.execute(_configured(given)),
    "d": lambda admin, given: admin.delete(given["d"]),
    "update": lambda admin, given: admin.update(_configured(given), given["update"]),
    "dump": lambda admin, _: _print(admin.dump()),
    "offline": lambda admin, given: admin.set_state(given["offline"], "offline"),
    "ready": lambda admin, given: admin.set_state(given["ready"], "ready"),
    "": _nothing,
}
"""In the order in which tgt-admin looks for them."""


# -- tgt-setup-lun -----------------------------------------------------------------------------------------------------


@click.command("tgt-setup-lun", short_help="Do what tgt's tgt-setup-lun does.")
@click.option(
    "-n", "name", metavar="NAME", required=True, help="Of the target; iqn.2001-04.com.HOST-NAME, if it is no IQN."
)
@click.option("-d", "device", metavar="PATH", default="", help="The file or device.")
@click.option("-b", "store", metavar="TYPE", default="", help="The type of the backing store.  [default: rdwr]")
@click.option("-B", "block_size", metavar="BYTES", default="", help="The length of a block.")
@click.option("-t", "transport", metavar="DRIVER", default="iscsi", help="iscsi.")
@click.option("-C", "control_port", type=int, default=0, help="The control port.")
@click.argument("initiators", nargs=-1)
def tgt_setup_lun(
    *,
    name: str,
    device: str,
    store: str,
    block_size: str,
    transport: str,
    control_port: int,
    initiators: tuple[str, ...],
) -> int:
    """Make a LUN of PATH at the target NAME, which is made if it is not there, for INITIATORS or for all."""
    from isthmus.compat.importer import path_kind
    from isthmus.compat.tgt.admin import Admin, AdminStopped
    from isthmus.compat.tgt.client import TgtClient
    from isthmus.compat.tgt.setup_lun import Wish, set_up_lun

    if not device and store != "null":
        return _failed("tgt-setup-lun", "Error: a device is mandatory", 1)
    admin = Admin(TgtClient(control_port).ask, click.echo, path_kind, control_port=control_port)
    target = name if name.startswith("iqn") else f"iqn.2001-04.com.{socket.gethostname().partition('.')[0]}-{name}"
    wish = Wish(target, device, store, block_size, transport, initiators)
    try:
        set_up_lun(admin, wish, lambda question: click.prompt(question, default="NO", show_default=False) == "yes")
    except AdminStopped as error:
        click.echo(error.problem)
        return 1
    except DaemonError as error:
        return _failed("tgt-setup-lun", str(error), _UNREACHABLE)
    return 0
