"""docs/errors.md says what to do about every reason, and gives the code that callers see."""

import re
from pathlib import Path

import pytest

from evenkeel.common.v1.error_reason_pb2 import ErrorReason

CATALOGUE = Path(__file__).parents[2] / "docs" / "errors.md"
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", CATALOGUE.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", [name for name, number in ErrorReason.items() if number])
def test_every_reason_is_explained(name):
    assert name.removeprefix("ERROR_REASON_") in ROWS


def test_nothing_is_explained_that_no_service_says():
    assert {f"ERROR_REASON_{name}" for name in ROWS} <= set(ErrorReason.keys())
