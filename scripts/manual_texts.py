"""What stands in the manual and follows from no table: see write_manual.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["COMMAND", "DAEMON", "DOCUMENT", "Page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page around what is generated. A section is paragraphs, or terms and what they mean."""

    name: str
    chapter: int
    manual: str
    before: Mapping[str, str | dict[str, str]]
    generated: str
    """The title of the generated section."""
    after: Mapping[str, str | dict[str, str]]


_EXIT_STATUS: Final = {
    "0": "Done, or stopped in order.",
    "1": "It failed.",
    "2": "It was asked for something that cannot be, and nothing was changed.",
}
_DOCUMENTATION: Final = "The user guide and guides for single purposes are in `/usr/share/doc/isthmus`."

COMMAND: Final = Page(
    name="isthmus",
    chapter=1,
    manual="User Commands",
    before={
        "NAME": "isthmus - iSCSI target: files, block devices and memory as disks on the network",
        "SYNOPSIS": "`isthmus` [OPTIONS] COMMAND [ARGUMENTS]...",
        "DESCRIPTION": """
            Isthmus turns files, block devices and memory into disks on the network, which initiators on Linux, Windows,
            ESXi and QEMU use as their own.

            `isthmus daemon`, also called isthmusd(8), serves a saved configuration and is changed while it runs: by
            `isthmus shell`, whose commands are those of targetcli, by a verb for each object (`isthmus backstore
            create`, ...), or by `isthmus apply` of a document, see isthmus.toml(5). `isthmus serve` puts the disks that
            its arguments name on the network, and remembers no configuration. `isthmus initiator` is the other end.

            Called `targetcli`, `tgtadm`, `tgt-admin`, `tgt-setup-lun` or `scstadmin` by a link, the program is
            the command of that name. Debian's package has such links in `/usr/lib/isthmus/bin`, where they are in no other
            package's way.

            Each command has `--help`.""",
    },
    generated="COMMANDS",
    after={
        "ENVIRONMENT": {
            "ISTHMUS_RUN": "The directory of the control socket, for the daemon and for commands that talk with it.",
            "ISTHMUS_STATE": "Where `daemon` and `serve` keep what outlives them.",
            "ISTHMUS_ADVERTISE": "What discovery tells of the daemon's portals on every address.",
        },
        "FILES": {
            "/var/lib/isthmus": "The system's daemon's configuration and what its disks remember, see isthmusd(8).",
            "/run/isthmus/control.sock": "Where it is controlled, by root and by the members of the group `isthmus`.",
        },
        "EXIT STATUS": _EXIT_STATUS,
        "EXAMPLES": """
            A file of 10 GiB as a disk, for as long as the command runs:

                isthmus serve web.img --size 10G

            The same, served by the daemon:

                isthmus backstore create fileio/web /srv/iscsi/web.img --size 10G
                isthmus target create iqn.2026-05.com.example:storage01
                isthmus lun create iqn.2026-05.com.example:storage01 web
                isthmus acl create iqn.2026-05.com.example:storage01 iqn.2026-05.com.example:client""",
        "SEE ALSO": f"isthmusd(8), isthmus.toml(5)\n\n{_DOCUMENTATION}",
    },
)

DAEMON: Final = Page(
    name="isthmusd",
    chapter=8,
    manual="System Administration",
    before={
        "NAME": "isthmusd - serve the saved configuration of an iSCSI target",
        "SYNOPSIS": "`isthmusd` [OPTIONS]\n\n`isthmus daemon` [OPTIONS]",
        "DESCRIPTION": """
            Serves the targets of its saved configuration, and is controlled over a socket: by the commands of isthmus(1),
            by HTTP with JSON. A change is checked as a whole, done as a whole, and saved before it is acknowledged;
            sessions that it does not concern go on. A disk whose file is gone or a portal that cannot be bound is shown
            with the reason (`isthmus backstores`, `isthmus portals`), and does not keep the others from being served.

            When it serves and can be controlled, it prints a line `ready:` with the path of its socket, and tells the
            service manager.""",
    },
    generated="OPTIONS",
    after={
        "SIGNALS": {
            "SIGTERM, SIGINT": "Stop in order: initiators are asked to log out, running commands end, everything is"
            " flushed. A second one stops it at once.",
            "SIGHUP": "Read the saved configuration again, and take over new sizes of files and devices.",
        },
        "SERVICE": """
            The unit `isthmus.service` runs it as the user `isthmus`, without any capability. It writes to
            `/var/lib/isthmus` and `/srv`, and only where that user may:

                install -d -o isthmus -g isthmus /srv/iscsi

            Disks in other places take `ReadWritePaths=` in `systemctl edit isthmus`; block devices take a udev rule or
            `SupplementaryGroups=disk`, see `/usr/share/doc/isthmus/examples/block-devices.conf`. Other options are given
            there, too:

                [Service]
                ExecStart=
                ExecStart=/usr/bin/isthmus daemon --control-group isthmus --portal 192.0.2.10

            `isthmus.socket` is not enabled: it keeps the default portal open while the daemon restarts, for configurations that
            have no other.

            Its log goes to the journal, one event a line: `journalctl -u isthmus`. There is no log file to rotate; who changed
            what is told by `isthmus audit`, from five files of at most 4 MiB.""",
        "FILES": {
            "/var/lib/isthmus/saveconfig.json": "The saved configuration, in the form of LIO's. Secrets are in it: only the"
            " daemon's user reads it.",
            "/var/lib/isthmus/backup": "The ten configurations before it.",
            "/var/lib/isthmus/units": "What disks remember: reservations, mode pages, keys of encrypted disks.",
            "/var/lib/isthmus/audit.jsonl": "Who changed what.",
            "/run/isthmus/control.sock": "Where it is controlled, by root, its own user and the members of the group"
            " `isthmus`.",
        },
        "ENVIRONMENT": {
            "ISTHMUS_STATE, ISTHMUS_RUN, ISTHMUS_ADVERTISE": "As `--state`, `--run` and `--advertise`.",
        },
        "EXIT STATUS": {
            **_EXIT_STATUS,
            "2": "The configuration or an option is refused; to start it again as it is would not help.",
        },
        "SEE ALSO": f"isthmus(1), isthmus.toml(5), systemd.service(5), journalctl(1)\n\n{_DOCUMENTATION}",
    },
)

DOCUMENT: Final = Page(
    name="isthmus.toml",
    chapter=5,
    manual="File Formats",
    before={
        "NAME": "isthmus.toml - declared configuration of an iSCSI target",
        "SYNOPSIS": "`isthmus apply` FILE",
        "DESCRIPTION": """
            A document says what the daemon shall serve. `isthmus apply` compares it with what runs, shows the differences,
            and changes only those, all of them or none. The daemon does not read it by itself: what was applied is in
            its saved configuration. The file may have any name and place; `.toml`, `.yaml` and `.json` say how it is
            written.

            What a document does not name goes: to have nothing any more, it must say so, with an empty `[backstores]` and an
            empty `[targets]`. What is in use is refused unless `--force` is given. `isthmus export` writes the document that
            changes nothing.

            Secrets do not stand in documents. A secret file holds one line and is closed to other users. Paths are
            relative to the document.

            An empty list, table or text is the default of every key that names no other.""",
        "EXAMPLE": """
            A file as a disk, at two addresses, for one initiator:

                [backstores.db]
                kind = "fileio"
                path = "/srv/iscsi/db.img"
                size = "200G"

                [targets."iqn.2026-01.com.example:san"]
                portals = ["192.0.2.7", "[2001:db8::7]:3260"]
                luns = [{ lun = 0, backstore = "db" }]
                parameters = { MaxOutstandingR2T = 16 }

                [[targets."iqn.2026-01.com.example:san".initiators]]
                name = "iqn.2026-01.com.example:db1"
                chap = { user = "db1", secret_file = "secrets/db1" }""",
    },
    generated="KEYS",
    after={
        "SEE ALSO": """
            isthmus(1), isthmusd(8)

            `/usr/share/doc/isthmus/isthmus.schema.json` is the JSON Schema of documents, for editors.""",
    },
)
