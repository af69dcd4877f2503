#!/usr/bin/python3 -IS
"""Isthmus with the modules of its package, whatever else this machine's Python has.

Kinds of backstores of one's own: pip install --target /usr/local/lib/isthmus.
"""

import sys

sys.path[:0] = ["/usr/lib/isthmus/site-packages", "/usr/local/lib/isthmus"]

from isthmus.cli.main import main  # noqa: E402

main()
