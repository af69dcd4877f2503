"""Write docs/isthmus.schema.json, the JSON Schema of declared configurations, from the models that read them.

python scripts/write_schema.py            # write it
python scripts/write_schema.py --check    # exit status 1 if it is not up to date
"""

import json
import sys
from pathlib import Path
from typing import Final

from isthmus.config.declaration.models import schema

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = ROOT / "docs" / "isthmus.schema.json"


def main(arguments: list[str]) -> int:
    """Write the schema, or check it."""
    if "--check" not in arguments:
        SCHEMA.write_text(generate())
    elif SCHEMA.read_text() != generate():
        sys.stderr.write(f"{SCHEMA.relative_to(ROOT)} is not up to date: run python scripts/{Path(__file__).name}\n")
        return 1
    return 0


def generate() -> str:
    """The schema as it should be."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
