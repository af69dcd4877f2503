"""tgt-setup-lun: a target with a LUN for some initiators, in one go."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.compat.tgt.admin import Admin, AdminStopped
from isthmus.compat.tgt.seen import SeenTarget, seen_targets

__all__ = ["Wish", "set_up_lun"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made."""

    target: str
    device: str
    store: str = ""
    block_size: str = ""
    transport: str = "iscsi"
    initiators: tuple[str, ...] = ()


def set_up_lun(admin: Admin, wish: Wish, agrees: Callable[[str], bool]) -> None:
    """Make it. `agrees` is asked whether a target that is there gets one more LUN. Raises `AdminStopped`."""
    if wish.device and admin.kind_of(wish.device) == "absent":
        raise AdminStopped(f"Error: {wish.device} is not a device", 1)
    admin.say(f"Using transport: {wish.transport}")
    present = seen_targets(admin.shown())
    found = next((seen for seen in present if seen.name == wish.target), None)
    if found is not None:
        admin.say(f"Error: target named {wish.target} already exists")
        if not agrees("Add a new lun to the existing target? (yes/NO)"):
            raise AdminStopped("nothing was changed", 1)
    target = found or _new_target(admin, wish, {seen.tid for seen in present})
    try:
        _new_unit(admin, wish, target)
        _bind(admin, wish, target)
    except AdminStopped:
        if found is None:
            admin.say(f"Deleting new target, tid={target.tid}")
            admin.call("--lld", wish.transport, "--op", "delete", "--mode", "target", "--tid", str(target.tid))
        raise


def _new_target(admin: Admin, wish: Wish, taken: set[int]) -> SeenTarget:
    tid = next(number for number in range(1, len(taken) + 2) if number not in taken)
    admin.say(f"Creating new target (name={wish.target}, tid={tid})")
    admin.call("--lld", wish.transport, "--op", "new", "--mode", "target", "--tid", str(tid), "-T", wish.target)
    return SeenTarget(tid, wish.target, [0], [], [], [], [], [])


def _new_unit(admin: Admin, wish: Wish, target: SeenTarget) -> None:
    lun = next(number for number in range(1, len(target.luns) + 2) if number not in target.luns)
    admin.say(f"Adding a logical unit ({wish.device}) to target, tid={target.tid}")
    options: tuple[str, ...] = ()
    if wish.store:
        admin.say(f"Setting backing store type: {wish.store}")
        options += ("-E", wish.store)
    if wish.block_size:
        options += ("--blocksize", wish.block_size)
    at = ("--mode", "logicalunit", "--tid", str(target.tid), "--lun", str(lun))
    admin.call("--lld", wish.transport, "--op", "new", *at, "-b", wish.device, *options)


def _bind(admin: Admin, wish: Wish, target: SeenTarget) -> None:
    wanted = wish.initiators or ("ALL",)
    if wish.initiators:
        admin.say(f"Accepting connections from {' '.join(wish.initiators)}")
    elif "ALL" not in target.rules:
        admin.say("Accepting connections from all initiators")
    for initiator in wanted:
        if initiator not in target.rules:
            bind = ("--lld", wish.transport, "--op", "bind", "--mode", "target", "--tid", str(target.tid))
            admin.call(*bind, "-I", initiator)
