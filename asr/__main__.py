"""python -m asr: the commands, and what each is for."""

import ast
import sys
from pathlib import Path


def main() -> None:
    """List the commands by the first line of their docstrings; nothing is imported."""
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        purpose = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sys.stdout.write(f"  {purpose.splitlines()[0]}\n")
    sys.stdout.write("\nOptions are key=value; `python -m asr.train --help` shows them.\n")


if __name__ == "__main__":
    main()
