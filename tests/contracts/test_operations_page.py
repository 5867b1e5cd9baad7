"""docs/operations.md names metrics that the services have."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_metric_on_the_page_is_one_that_the_code_makes():
    page = (ROOT / "docs" / "operations.md").read_text()
    code = "".join(file.read_text() for file in (ROOT / "services").rglob("*.py"))
    named = re.findall(r"`((?:evenkeel|rpc)\.[a-z.]+)`", page)

    assert named
    assert [name for name in named if f'"{name}"' not in code] == []
