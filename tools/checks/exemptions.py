"""Does every exemption from a tool's rule carry its reason on the same line?

python -m tools.checks.exemptions
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("services", "tools", "tests")
EXEMPTION = re.compile(r"#\s*(noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[^]]*])?|pragma: no cover)")
# After the rule's name comes a separator, then words.
REASONED = re.compile(r"\s*(?:#|-|:)\s*\S+")


def findings(name: str, source: str) -> Iterator[str]:
    """Yield the lines of one Python file whose exemption gives no reason."""
    if not EXEMPTION.search(source):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        exemptions = list(EXEMPTION.finditer(token.string))
        if exemptions and not REASONED.match(token.string[exemptions[-1].end() :]):
            yield f"{name}:{token.start[0]} gives no reason: {token.string}"


def main() -> int:
    """Print the findings of all files and return the exit code."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    found = [finding for path in files for finding in findings(str(path.relative_to(ROOT)), path.read_text())]
    sys.stdout.write("".join(f"{finding}\n" for finding in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
