"""Draw docs/demo.svg: what a terminal shows when the commands below are run, here and now, nothing retouched.

    .venv/bin/python scripts/draw_demo.py [PORT]

Needs libiscsi-bin, qemu-utils and qemu-block-extra.
"""

import html
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = sys.argv[1] if len(sys.argv) > 1 else "13260"
NAME = "iqn.2026-01.org.example:web"
URL = f"iscsi://127.0.0.1:{PORT}/{NAME}/0"
SERVE = f"isthmus serve web.img --size 10G --portal 127.0.0.1:{PORT} --iqn {NAME} 2>log"
COMMANDS = (
    f"iscsi-ls -s iscsi://127.0.0.1:{PORT}",
    f"qemu-img convert -n -O raw debian.qcow2 {URL}",
    f"qemu-img compare debian.qcow2 {URL}",
    "du -h --apparent-size web.img; du -h web.img",
    f"isthmus initiator ls iscsi://127.0.0.1:{PORT}",
)
FONT, LINE, LEFT, TOP = 13, 18, 16, 34
"""Pixels."""


def make_image(directory: Path) -> None:
    """Something to copy: a small disk image with data here and there."""
    run("qemu-img create -q -f qcow2 debian.qcow2 10G", directory)
    for offset in (0, 300, 900):
        run(f"qemu-io -c 'write -q -P 0x5a {offset}M 8M' debian.qcow2", directory)


def run(command: str, directory: Path) -> list[str]:
    """The lines that a command prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return result.stdout.rstrip("\n").expandtabs().splitlines()


def record(directory: Path) -> list[str]:
    """The whole of it: the server in the background, the commands, and the orderly stop."""
    shown = [f"$ {SERVE} &"]
    command = [str(Path(sys.executable).parent / "isthmus"), *SERVE.split()[1:-1]]
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            shown.append(server.stdout.readline().rstrip("\n"))
            for line in COMMANDS:
                shown += [f"$ {line}", *run(line, directory)]
            server.send_signal(signal.SIGTERM)
            shown += ["$ kill %1; wait %1; echo $?", str(server.wait(15))]
        finally:
            server.kill()
    return shown


def draw(lines: list[str]) -> str:
    """The lines as an SVG that reads well on light and on dark pages."""
    width = max(760, round(LEFT * 2 + max(map(len, lines)) * FONT * 0.61))
    height = TOP + LINE * len(lines) + 14
    rows = []
    for number, line in enumerate(lines):
        style = "command" if line.startswith("$ ") else "output"
        y = TOP + LINE * (number + 1) - 6
        rows.append(f'<text class="{style}" x="{LEFT}" y="{y}" xml:space="preserve">{html.escape(line)}</text>')
    lights = "".join(f'<circle cx="{LEFT + 4 + 16 * i}" cy="15" r="5" fill="#6e7681"/>' for i in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        "<title>A terminal: isthmus serves a disk, other people's initiators use it</title>\n"
        f"<style>text {{ font: {FONT}px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }}\n"
        ".command { fill: #7ee787; } .output { fill: #c9d1d9; }</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>{lights}\n' + "\n".join(rows) + "\n</svg>\n"
    )


def main() -> int:
    """Run, draw, and say where the picture is."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        make_image(directory)
        lines = record(directory)
    picture = ROOT / "docs" / "demo.svg"
    picture.write_text(draw(lines))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
