"""`isthmus serve`: files, block devices and memory as disks on the network, at once and without a configuration."""

import re
import socket
from pathlib import Path
from typing import Final

import click

from isthmus.cli.parameters import ATTRIBUTE, DIGESTS, ISCSI_NAME, PORTAL, SIZE
from isthmus.cli.secret_file import RECOMMENDED_LENGTH, read_secret
from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from isthmus.server.options import (
    BLOCK_LENGTHS,
    MAX_CONNECTIONS,
    NOPIN_RESPONSE_TIMEOUT,
    PHYSICAL_BLOCK_LENGTHS,
    ChapCredential,
    DigestMethod,
    FileUnit,
    LogLevel,
    MemoryUnit,
    Portal,
    ServeOptions,
)

__all__ = ["default_portal", "default_target_name", "serve"]

NAMING_AUTHORITY: Final = "iqn.2026-01.org.isthmus"
_ACCEPT_BOTH: Final = f"{DigestMethod.CRC32C},{DigestMethod.NONE}"


def default_target_name() -> IscsiName:
    """The same after each restart, and different from machine to machine: it ends in the host's name."""
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return IscsiName(f"{NAMING_AUTHORITY}:{host or 'localhost'}")


def default_portal() -> Portal:
    """Every address of the machine: both families, or IPv4 alone where the system has no IPv6."""
    if socket.has_dualstack_ipv6():
        return Portal("::")
    return Portal("0.0.0.0")  # noqa: S104  every interface is what an operator who names none expects


@click.command(short_help="Export files or block devices as LUN 0, 1, …")
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--size", type=SIZE, metavar="SIZE", help="Create each missing PATH, sparse; check the others. Like 10G.")
@click.option("--ram", type=SIZE, metavar="SIZE", multiple=True, help="Add a memory disk, after the PATHs. Repeatable.")
@click.option(
    "--cdrom",
    "discs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="Add a drive with this image of a CD or DVD in it, after the memory disks. Repeatable.",
)
@click.option(
    "--portal",
    "portals",
    type=PORTAL,
    metavar="ADDR[:PORT]",
    multiple=True,
    help="Listen here; [ADDR] for IPv6, port 0 for any free one. Repeatable.  [default: every address, 3260]",
)
@click.option(
    "--iqn",
    "target_name",
    type=ISCSI_NAME,
    metavar="NAME",
    help=f"The target's iSCSI name.  [default: {NAMING_AUTHORITY}:HOSTNAME]",
)
@click.option("--read-only", is_flag=True, help="Let nobody write.")
@click.option("--removable", is_flag=True, help="Let initiators eject the medium and load it again.")
@click.option("--rotational", is_flag=True, help="Tell initiators that the medium turns.")
@click.option(
    "--erase-rate",
    type=SIZE,
    metavar="SIZE",
    help="Let formatting and erasing move at most this much a second, for the sake of other disks.  [default: no limit]",
)
@click.option(
    "--attribute",
    "attributes",
    type=ATTRIBUTE,
    metavar="NAME=VALUE",
    multiple=True,
    help="Set an attribute of the disks, like emulate_caw=0. Repeatable.",
)
@click.option("--encrypt", is_flag=True, help="Encrypt all that is written, with a key of its own for each disk.")
@click.option("--write-through", is_flag=True, help="Make each write durable before it is acknowledged (no cache).")
@click.option(
    "--block-size",
    type=click.Choice([str(length) for length in BLOCK_LENGTHS]),
    default="512",
    show_default=True,
    help="Bytes in a logical block.",
)
@click.option(
    "--physical-block-size",
    type=click.Choice([str(length) for length in PHYSICAL_BLOCK_LENGTHS]),
    help="Bytes that the storage writes at once.  [default: what it says]",
)
@click.option("--chap-user", metavar="NAME", help="The name that initiators must log in with (CHAP).")
@click.option("--chap-secret-file", type=click.Path(path_type=Path), metavar="FILE", help="Holds its secret.")
@click.option("--mutual-user", metavar="NAME", help="The name that the target proves itself with (mutual CHAP).")
@click.option("--mutual-secret-file", type=click.Path(path_type=Path), metavar="FILE", help="Holds its secret.")
@click.option("--header-digest", type=DIGESTS, metavar="LIST", default=_ACCEPT_BOTH, show_default=True)
@click.option("--data-digest", type=DIGESTS, metavar="LIST", default=_ACCEPT_BOTH, show_default=True)
@click.option(
    "--max-connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=MAX_CONNECTIONS,
    show_default=True,
    help="For one session.",
)
@click.option(
    "--nopin-timeout",
    type=click.IntRange(3, 60),
    default=15,
    show_default=True,
    metavar="SECONDS",
    help=f"Ask an initiator after so much silence; give it up {NOPIN_RESPONSE_TIMEOUT} seconds later.",
)
@click.option(
    "--state",
    "state_directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    envvar="ISTHMUS_STATE",
    show_envvar=True,
    help="Keep here what must outlive a restart.  [default: /var/lib/isthmus, or the user's own]",
)
@click.option(
    "--replace-lost-reservations",
    is_flag=True,
    help="Serve units whose saved reservations are damaged; initiators must replace them first.",
)
@click.option(
    "--log-level",
    type=click.Choice([level.value for level in LogLevel]),
    default=LogLevel.INFO.value,
    show_default=True,
)
def serve(
    *,
    paths: tuple[Path, ...],
    size: int | None,
    ram: tuple[int, ...],
    discs: tuple[Path, ...],
    portals: tuple[Portal, ...],
    target_name: IscsiName | None,
    read_only: bool,
    removable: bool,
    rotational: bool,
    erase_rate: int | None,
    attributes: tuple[tuple[str, Value], ...],
    encrypt: bool,
    write_through: bool,
    block_size: str,
    physical_block_size: str | None,
    chap_user: str | None,
    chap_secret_file: Path | None,
    mutual_user: str | None,
    mutual_secret_file: Path | None,
    header_digest: tuple[DigestMethod, ...],
    data_digest: tuple[DigestMethod, ...],
    max_connections: int,
    nopin_timeout: int,
    state_directory: Path | None,
    replace_lost_reservations: bool,
    log_level: str,
) -> int:
    """Export each PATH, a file or a block device, as LUN 0, 1, … of one iSCSI target.

    For each LUN it prints a line `ready: iscsi://ADDR:PORT/NAME/LUN` when it accepts connections. SIGTERM or Ctrl-C
    stops it in order; a second one at once. SIGHUP makes it look at the sizes of files and devices again.
    """
    options = ServeOptions(
        units=(
            *(FileUnit(path=path, size=size) for path in paths),
            *(MemoryUnit(size=length) for length in ram),
            *(FileUnit(path=path, in_drive=True) for path in discs),
        ),
        target_name=target_name or default_target_name(),
        portals=portals or (default_portal(),),
        read_only=read_only,
        removable=removable,
        rotational=rotational,
        erase_rate=erase_rate,
        attributes=dict(attributes),
        encrypt=encrypt,
        write_back=not write_through,
        block_length=int(block_size),
        physical_block_length=int(physical_block_size) if physical_block_size else None,
        chap=credential("chap", chap_user, chap_secret_file),
        mutual_chap=credential("mutual", mutual_user, mutual_secret_file),
        header_digests=header_digest,
        data_digests=data_digest,
        max_connections=max_connections,
        nopin_timeout=nopin_timeout,
        log_level=LogLevel(log_level),
        state_directory=state_directory,
        replace_lost_reservations=replace_lost_reservations,
    )
    return start(options)


def credential(kind: str, user: str | None, secret_file: Path | None) -> ChapCredential | None:
    """The pair of options `--KIND-user` and `--KIND-secret-file`; raises `ConfigurationError` for half of it."""
    if user is None and secret_file is None:
        return None
    if not user or secret_file is None:
        raise ConfigurationError(
            f"--{kind}-user and --{kind}-secret-file belong together", "give both, or neither for no authentication"
        )
    return ChapCredential(user=user, secret=read_secret(secret_file))


def start(options: ServeOptions) -> int:
    """Serve until told to stop and give the exit status."""
    from isthmus.server.app import run
    from isthmus.server.logging import configure_logging

    configure_logging(options.log_level)
    warn_of_short_secrets(options)
    return run(options)


def warn_of_short_secrets(options: ServeOptions) -> None:
    """Log which secrets are shorter than recommended; they are used nevertheless."""
    import structlog

    for credential_in_use in (options.chap, options.mutual_chap):
        if credential_in_use and len(credential_in_use.secret) < RECOMMENDED_LENGTH:
            structlog.get_logger().warning(
                "short CHAP secret", user=credential_in_use.user, recommended_bytes=RECOMMENDED_LENGTH
            )
