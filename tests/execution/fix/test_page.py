"""docs/fix.md names the tests that show what it promises: they are there, in the files that it names."""

import re
from pathlib import Path

EXECUTION = Path(__file__).parents[1]
PAGE = EXECUTION.parents[1] / "docs/fix.md"


def promises():
    """Return the file and the name of each test in the table of what is promised."""
    table = PAGE.read_text().split("### What is promised")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [
        (file, name)
        for row in rows
        for cell in row.rsplit(" | ", 1)[1].split("; ")
        for file, names in [cell.split(": ", 1)]
        for name in re.findall(r"`(test_\w+)`", names)
    ]


def test_each_promise_names_tests_that_are_there():
    named = promises()
    missing = [
        (file, name)
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (EXECUTION / file.strip("`")).read_text(), re.MULTILINE)
    ]

    assert len(named) > 40
    assert missing == []
