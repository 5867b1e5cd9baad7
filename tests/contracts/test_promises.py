"""Pages that say which test shows which promise name tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["execution.md", "fix.md"])
def test_every_test_that_a_page_names_is_there(page):
    rows = [
        row for row in (ROOT / "docs" / page).read_text().splitlines() if row.startswith("|") and "`: `test_" in row
    ]
    named, missing = 0, []
    for row in rows:
        *_, shown = row.strip("| ").split("|")
        for part in shown.split(";"):
            file, *tests = re.findall(r"`([\w/]+\.py|test_\w+)`", part)
            code = (ROOT / "tests" / "execution" / file).read_text()
            named += len(tests)
            missing += [f"{file}: {test}" for test in tests if f"def {test}(" not in code]

    assert named > 40
    assert missing == []
