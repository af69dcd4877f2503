"""SCST's IncomingUser and OutgoingUser as CHAP credentials."""

import re
from dataclasses import dataclass, field
from typing import Final

from isthmus.compat.scst.report import Attribute, Report
from isthmus.config.model import Account, Chap

__all__ = ["INCOMING", "OUTGOING", "Accounts"]

INCOMING: Final = "IncomingUser"
OUTGOING: Final = "OutgoingUser"
_PAIR: Final = re.compile(r"[ \t]*([^ \t]+)[ \t]+([^ \t].*)", re.DOTALL)


@dataclass(slots=True)
class Accounts:
    """The accounts of a target, or of discovery, while they are read."""

    incoming: list[Attribute] = field(default_factory=list)
    outgoing: list[Attribute] = field(default_factory=list)

    def take(self, found: Attribute) -> bool:
        """Keep it if it is an account; else False. SCST numbers those after the first: IncomingUser1."""
        for name, accounts in ((INCOMING, self.incoming), (OUTGOING, self.outgoing)):
            if found.name.startswith(name) and (found.name[len(name) :] or "0").isdecimal():
                accounts.append(found)
                return True
        return False

    def chap(self, owner: str, report: Report) -> Chap:
        """The credentials. No secret gets into what is told."""
        if not self.incoming:
            if self.outgoing:
                report.say(
                    self.outgoing[0].position,
                    f"{OUTGOING} of {owner} without {INCOMING}",
                    "nobody is asked for a secret, so nothing is proved to anybody either",
                )
            return Chap()
        for surplus in self.outgoing[1:]:
            report.say(surplus.position, f"one more {OUTGOING} of {owner}", "the first one counts")
        (userid, password), *others = [_pair(account, report) for account in self.incoming]
        mutual_userid, mutual_password = _pair(self.outgoing[0], report) if self.outgoing else ("", "")
        with report.at(self.incoming[0].position):
            return Chap(
                userid=userid,
                password=password,
                mutual_userid=mutual_userid,
                mutual_password=mutual_password,
                others=tuple(Account(*pair) for pair in others),
            )


def _pair(account: Attribute, report: Report) -> tuple[str, str]:
    """Name and secret: what stands before the first blank, and everything from the next character that is none."""
    found = _PAIR.fullmatch(account.value)
    if found is None:
        raise report.error(account.position, f"{account.name} is a name and a secret", 'like "joe 12charsecret"')
    return found[1], found[2]
