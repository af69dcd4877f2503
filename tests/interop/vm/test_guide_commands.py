"""The guides' commands on the client, between those on the server, as they stand there."""

from pathlib import Path

import pytest

from tests.interop.test_guide_commands import run_block, server
from tests.interop.test_user_guide import host
from tests.interop.vm.conftest import why_not
from tests.interop.vm.guest import running_guest
from tests.interop.vm.image.build import ensure_image
from tests.support.guides import GUEST, GUIDES, RUN, USER_GUIDE, blocks
from tests.support.namespace import namespaces_missing

CLIENT = "INITIATOR=iqn.2026-05.com.example:client\nstart_udev\nstart_iscsid\n"
missing = why_not() or namespaces_missing()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing), reason=missing or ""),
]


@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if any(block.place == GUEST for block in blocks(guide))],
    ids=lambda guide: guide.stem,
)
def test_the_commands_of_both_sides_work(guide: Path, tmp_path: Path) -> None:
    """The server and the client of one guide, each command where it belongs."""
    image = ensure_image()
    with server(tmp_path) as machine, running_guest(image, tmp_path / "guest", prefix=machine.command()) as guest:
        guest.run(CLIENT)
        for block in blocks(guide):
            if block.place == RUN:
                run_block(machine, guide, block)
            elif block.place == GUEST:
                guest.run(f"set -x\n{block.text}udevadm settle", seconds=240)


def test_the_user_guides_commands_work(tmp_path: Path) -> None:
    """The client's, each with what serves at that place of the guide."""
    image = ensure_image()
    with (
        host(tmp_path) as machine,
        running_guest(image, tmp_path / "guest", prefix=machine.machine.command()) as guest,
    ):
        guest.run(CLIENT)
        for block in blocks(USER_GUIDE):
            if block.place == GUEST:
                machine.prepare(block.section)
                guest.run("\n".join(["set -x", *(step.command for step in block.steps())]))
