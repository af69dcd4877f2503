"""What tgt-admin does with targets.conf: the calls of tgtadm that make a target of it, in tgt-admin's order.

`tgt-admin` of ours sends these calls, and `isthmus import tgt` does what they ask for to a configuration: one meaning for both.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from isthmus.compat.tgt.arguments import parse_arguments
from isthmus.compat.tgt.directives import LUN, LUN_PARAMETERS, STORES, target_keys
from isthmus.compat.tgt.grammar import Block, Directive, Place, words
from isthmus.compat.tgt.wire import Request

__all__ = [
    "Known",
    "Skipped",
    "Step",
    "Steps",
    "Unit",
    "account_of",
    "discovery_steps",
    "isns_steps",
    "target_steps",
    "units_of",
]

_WRITE_CACHE_OFF: Final = "8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"
_DIGITS: Final = 10
_NO_MEDIUM: Final = "NONE:"
_SECRET: Final = "--password"  # noqa: S105  the option, not a secret
_ISNS: Final = ("iSNSServerIP", "iSNSServerPort", "iSNSAccessControl", "iSNS")


@dataclass(frozen=True, slots=True)
class Step:
    """One call of tgtadm."""

    arguments: tuple[str, ...]
    place: Place
    lun: int | None = None
    """The logical unit that it is about; without its first step, the others are without meaning."""

    @property
    def request(self) -> Request:
        """What it asks for; raises `UsageError`."""
        return parse_arguments(self.arguments).request

    def __str__(self) -> str:
        """As one may print it: without the secret."""
        shown = []
        hides = False
        for argument in self.arguments:
            shown.append("***" if hides else argument)
            hides = argument == _SECRET
        return " ".join(shown)


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a file says, and is not done."""

    place: Place
    meaning: str
    instead: str


Steps = Iterator[Step | Skipped]
Known = dict[str, str | None]
"""The accounts that are there, with their secrets, where these are known."""


@dataclass(slots=True)
class Unit:
    """A logical unit: its own directives, before those of the target for all."""

    path: str
    is_direct: bool
    place: Place
    own: list[Directive] = field(default_factory=list)
    common: list[Directive] = field(default_factory=list)

    def all(self, name: str) -> list[Directive]:
        """Of the unit's own, or else of those of the target."""
        own = [entry for entry in self.own if entry.name == name]
        return own or [entry for entry in self.common if entry.name == name]

    def every(self, name: str) -> list[Directive]:
        """Of both."""
        return [entry for entry in (*self.own, *self.common) if entry.name == name]

    def value(self, name: str) -> str:
        """The last; empty: there is none."""
        found = self.all(name)
        return found[-1].value if found else ""


# -- Accounts ----------------------------------------------------------------------------------------------------------


def account_of(directive: Directive) -> tuple[str, str] | None:
    """User and secret; None: one is missing. As with tgt-admin, what is behind them does not count."""
    found = words(directive.raw)
    if len(found) == 1:
        found = words(directive.value)
    return (found[0], found[1]) if len(found) > 1 and found[0] and found[1] else None


def _account_steps(directive: Directive, known: Known, *where: str) -> Steps:
    account = account_of(directive)
    if account is None:
        yield Skipped(directive.place, f"{directive.name} without a user and a secret", "it is left out")
        return
    user, secret = account
    if len(words(directive.raw)) > len(account):
        yield Skipped(directive.place, f"words behind the secret of {user}", "they do not count, as with tgt-admin")
    if user in known:
        if known[user] not in {None, secret}:
            yield Skipped(directive.place, f"another secret of {user}", "the first one counts, as with tgt-admin")
    else:
        known[user] = secret
        yield Step(("--mode", "account", "--op", "new", "--user", user, _SECRET, secret), directive.place)
    yield Step(("--mode", "account", "--op", "bind", *where, "--user", user), directive.place)


def discovery_steps(root: Block, known: Known) -> Steps:
    """What discovery asks for and shows."""
    for name, where in (("incomingdiscoveryuser", ()), ("outgoingdiscoveryuser", ("--outgoing",))):
        for directive in root.directives(name):
            yield from _account_steps(directive, known, *where)


def isns_steps(root: Block) -> Steps:
    """What an iSNS server would be told."""
    for name in _ISNS:
        for directive in root.directives(name)[-1:]:
            yield Step(("--op", "update", "--mode", "sys", "--name", name, "--value", directive.value), directive.place)


# -- Targets -----------------------------------------------------------------------------------------------------------


def target_steps(
    target: Block,
    tid: int,
    known: Known,
    direct_parameters: Callable[[str], dict[str, str]],
    is_there: Callable[[Unit], str],
    *,
    names_alone: bool = False,
) -> Steps:
    """The calls that make `target` under the number `tid`.

    `known` are the accounts that are there, and grows. `direct_parameters`: what a real disk says of itself; `is_there`: why
    a unit cannot be made (empty: it can). `names_alone`: names without an address let nobody else in, as targets.conf(5) says
    and tgt-admin does not do.
    """
    number = str(tid)
    place = target.place
    yield Step(("--lld", "iscsi", "--op", "new", "--mode", "target", "--tid", number, "-T", target.argument), place)
    yield from _key_steps(target, number)
    for unit, lun in _numbered(units_of(target)):
        named = unit.all("lun")
        if named and _whole_number(named[-1].value) is None:
            yield Skipped(named[-1].place, f"lun {named[-1].value} is no number", f"it is LUN {lun}")
        problem = is_there(unit)
        if problem:
            yield Skipped(unit.place, f"LUN {lun} at {unit.path or 'no path'}", problem)
        else:
            yield from _unit_steps(unit, number, lun, direct_parameters)
    for directive in target.directives("incominguser"):
        yield from _account_steps(directive, known, "--tid", number)
    yield from _rule_steps(target, number, names_alone=names_alone)
    outgoing = target.directives("outgoinguser")
    for directive in outgoing[:1]:
        yield from _account_steps(directive, known, "--tid", number, "--outgoing")
    for directive in outgoing[1:]:
        yield Skipped(directive.place, "a second outgoinguser", "only the first one is used")
    for directive in target.directives("state")[:1]:
        yield _update(number, directive)


def _key_steps(target: Block, tid: str) -> Steps:
    for name in target_keys():
        found = target.directives(name) if name != "state" else []
        for directive in found[:1]:
            yield _update(tid, directive)
        for directive in found[1:]:
            yield Skipped(directive.place, f"a second {name}", "only the first one is used")


def _update(tid: str, directive: Directive) -> Step:
    return Step(
        ("--mode", "target", "--op", "update", "--tid", tid, "--name", directive.name, "--value", directive.value),
        directive.place,
    )


def _rule_steps(target: Block, tid: str, *, names_alone: bool) -> Steps:
    bind = ("--op", "bind", "--mode", "target", "--tid", tid)
    addresses = target.directives("initiator-address")
    for directive in addresses:
        yield Step((*bind, "-I", directive.value), directive.place)
    names = target.directives("initiator-name")
    for directive in names:
        yield Step((*bind, "-Q", directive.value), directive.place)
    if names and not addresses and names_alone:
        meaning = "initiator-name without initiator-address, where tgt-admin lets everybody in"
        yield Skipped(names[0].place, meaning, "only these names are let in, as targets.conf(5) says")
    elif not addresses:
        yield Step((*bind, "-I", "ALL"), target.place)


# -- Logical units -----------------------------------------------------------------------------------------------------


def units_of(target: Block) -> list[Unit]:
    """In the order of their LUNs: by the bytes of their paths, those with an identity of their own last."""
    common = [entry for entry in target.entries if isinstance(entry, Directive) and entry.name in LUN]
    units = []
    for name in STORES:
        found: dict[str, Unit] = {}
        for entry in target.entries:
            if entry.name != name:
                continue
            path = entry.value if isinstance(entry, Directive) else entry.argument
            unit = found.setdefault(path, Unit(path, name == STORES[1], entry.place, common=common))
            if isinstance(entry, Block):
                unit.own += [inner for inner in entry.entries if isinstance(inner, Directive)]
        units += [found[path] for path in sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape"))]
    return units


def _numbered(units: Sequence[Unit]) -> Iterator[tuple[Unit, int]]:
    """With the LUN that each names, or the lowest that none does."""
    named = {id(unit): number for unit in units if (number := _whole_number(unit.value("lun"))) is not None}
    taken = set(named.values())
    for unit in units:
        lun = named.get(id(unit))
        if lun is None:
            lun = next(number for number in range(1, len(units) + 2) if number not in taken)
            taken.add(lun)
        yield unit, lun


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _unit_steps(unit: Unit, tid: str, lun: int, direct_parameters: Callable[[str], dict[str, str]]) -> Steps:
    direct = direct_parameters(unit.path) if unit.is_direct else {}
    options = [
        (option, unit.value(name) or direct.get(name, ""))
        for name, option in (
            ("device-type", "--device-type"),
            ("bs-type", "--bstype"),
            ("bsopts", "--bsopts"),
            ("bsoflags", "--bsoflags"),
            ("block-size", "--blocksize"),
        )
    ]
    path = () if unit.path.startswith(_NO_MEDIUM) else ("-b", unit.path)
    given = tuple(word for option, value in options if value for word in (option, value))
    at = ("--mode", "logicalunit", "--tid", tid, "--lun", str(lun))
    yield Step(("--lld", "iscsi", "--op", "new", *at, *path, *given), unit.place, lun)
    for parameter, place in _parameters(unit, tid, lun, direct):
        yield Step(("--lld", "iscsi", "--op", "update", *at, "--params", parameter), place, lun)
    cache = unit.all("write-cache")
    if cache and cache[-1].value not in {"on", "off"}:
        yield Skipped(cache[-1].place, f"write-cache {cache[-1].value}", "it is on or off, so it stays on")


def _parameters(unit: Unit, tid: str, lun: int, direct: dict[str, str]) -> Iterator[tuple[str, Place]]:
    """Mode pages first."""
    for directive in unit.every("mode_page"):
        yield f"mode_page={directive.value}", directive.place
    if unit.value("write-cache") == "off":
        yield f"mode_page={_WRITE_CACHE_OFF}", unit.all("write-cache")[-1].place
    for name in LUN_PARAMETERS:
        found = unit.all(name)
        value = found[-1].value if found else direct.get(name, "")
        if value:
            yield f"{name}={value}", found[-1].place if found else unit.place
    for directive in unit.every("params"):
        yield directive.value.replace("${tid}", tid).replace("${lun}", str(lun)), directive.place
