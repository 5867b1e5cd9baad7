"""docs/fix.md and docs/execution.md name the tests that show what they promise: they are there, in the files named."""

import re
from pathlib import Path

import pytest

EXECUTION = Path(__file__).parents[1]
DOCS = EXECUTION.parents[1] / "docs"


def promises(page):
    """Return the file and the name of each test in the table of what is promised."""
    table = (DOCS / page).read_text().split("# What is promised")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [
        (file, name)
        for row in rows
        for cell in row.rsplit(" | ", 1)[1].split("; ")
        for file, names in [cell.split(": ", 1)]
        for name in re.findall(r"`(test_\w+)`", names)
    ]


@pytest.mark.parametrize("page", ["fix.md", "execution.md"])
def test_each_promise_names_tests_that_are_there(page):
    named = promises(page)
    missing = [
        (file, name)
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (EXECUTION / file.strip("`")).read_text(), re.MULTILINE)
    ]

    assert len(named) > 40
    assert missing == []
