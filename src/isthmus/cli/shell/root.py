"""The root of the tree, and the commands that are about all of it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from configshell_fb import ExecutionError

from isthmus import __version__
from isthmus.cli.shell.backstores import BackstoresNode
from isthmus.cli.shell.node import Node, boolean, number
from isthmus.cli.shell.targets import IscsiNode
from isthmus.config.document import load
from isthmus.config.model import Configuration
from isthmus.management.views import SessionView

__all__ = ["PREFERENCES", "RootNode"]

PREFERENCES = {
    "auto_add_default_portal": "A new portal group listens on every address until a portal is created.",
    "auto_add_mapped_luns": "New LUNs and node ACLs are mapped to each other.",
}


class RootNode(Node):
    """`/`."""

    def __init__(self, shell: Any) -> None:
        super().__init__("/", shell=shell)
        for name, about in PREFERENCES.items():
            self.define_config_group_param("global", name, "bool", about)

    def make_children(self) -> Iterator[Callable[[], object]]:
        yield partial(BackstoresNode, self)
        yield partial(IscsiNode, self)

    def summary(self) -> tuple[str, bool | None]:
        return "...", None

    def ui_command_saveconfig(self, savefile: str | None = None) -> None:
        """Says that the configuration is saved: each change is, durably, before its command ends.

        Saving it to another file is not this command's: secrets do not leave the daemon.
        """
        if savefile is not None:
            raise ExecutionError(
                "each change is saved already; copy the daemon's saveconfig.json for a file of your own"
            )
        self.say("Configuration saved.")

    def ui_command_restoreconfig(
        self, savefile: str, clear_existing: str | None = None, force: str | None = None
    ) -> None:
        """Puts the configuration in "savefile" (a saveconfig.json, LIO's too) in place of an empty one.

        With "clear_existing" true, in place of what there is; what of it initiators use goes only with "force" true.
        What the file says that cannot be done here is told.

        SEE ALSO
        ========
        saveconfig clearconfig
        """
        try:
            text = Path(savefile).expanduser().read_text()
        except OSError as error:
            raise ExecutionError(f"Restore file {savefile}: {error.strerror}") from None
        restored, remarks = load(text)
        if self.editor.configuration != Configuration() and not boolean(self, clear_existing, False):
            raise ExecutionError("There is a configuration already; give clear_existing=true to replace it")
        self.take(force, lambda _: restored)
        for remark in remarks:
            self.shell.log.warning(str(remark))
        self.say(f"Configuration restored from {savefile}")

    def ui_command_clearconfig(self, confirm: str | None = None, force: str | None = None) -> None:
        """Removes every target and storage object. What the storage holds stays where it is.

        "confirm" must be true; and "force", too, if initiators use something of it.
        """
        if not boolean(self, confirm, False):
            raise ExecutionError("clearconfig confirm=true removes everything")
        self.take(force, lambda _: Configuration())
        self.say("All configuration cleared")

    def ui_command_version(self) -> None:
        """Displays the version."""
        self.say(f"isthmus version {__version__}")

    def ui_command_sessions(self, action: str = "list", sid: str | None = None) -> None:
        """Displays the open sessions, or ends one.

        PARAMETERS
        ==========

        action
        ------
        - `list` gives a short list
        - `detail` gives names, LUNs and connections too
        - `logout` has the initiator log out, and drops the session if that takes longer than 5 seconds
        - `drop` drops it at once

        sid
        ---
        Only the session with that number.
        """
        if action in {"logout", "drop"}:
            self._end(number(sid or "", ""), ask=action == "logout")
            return
        if action not in {"list", "detail"}:
            raise ExecutionError("action must be one of: list, detail, logout, drop")
        sessions = [session for session in self.editor.sessions() if sid is None or str(session.tsih) == sid]
        if sid is not None and not sessions:
            raise ExecutionError(f"no session found with sid {sid}")
        if not sessions:
            self.shell.con.display("(no open sessions)")
        for session in sessions:
            self._show(session, detail=action == "detail")

    def _end(self, tsih: int, *, ask: bool) -> None:
        self.editor.daemon.end_session(tsih, ask=ask)
        self.say(f"Session {tsih} has ended.")

    def _show(self, session: SessionView, *, detail: bool) -> None:
        display = self.shell.con.display
        display(
            f"alias: {session.initiator_alias}\tsid: {session.tsih} type: {session.session_type} "
            f"session-state: {session.state}"
        )
        if not detail:
            return
        proof = f" (authenticated as {session.chap_user})" if session.chap_user else " (NOT AUTHENTICATED)"
        display(f"    name: {session.initiator_name}{proof}")
        display(f"    target: {session.target_name}")
        for lun in session.luns:
            display(f"    lun: {lun}")
        for connection in session.connections:
            display(f"    address: {connection.peer} (TCP)  cid: {connection.cid} connection-state: {connection.state}")
