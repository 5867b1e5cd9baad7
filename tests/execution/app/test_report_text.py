"""Reports as text for a journal."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from services.execution.app.report_text import report_json, report_of, report_text
from services.execution.domain.order import (
    Accepted,
    ChangeRefused,
    Filled,
    OrderState,
    Paused,
    Refused,
    Replaced,
    Restated,
)

REPORTS = [
    Accepted("r-1"),
    Refused("r-1", 'no "market", no\tprice \\ \N{SNOWMAN}\N{GRINNING FACE}'),
    Filled("r-1", Decimal("1E+2"), Decimal("100.250"), Decimal("0.04")),
    ChangeRefused("r-1", "c-1", "too late"),
    Replaced("r-1", "c-1", Decimal("10.0"), None),
    Paused("r-1", OrderState.SUSPENDED),
    Restated("r-1", split_to=2, split_from=1),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_a_report_comes_back_from_its_text(report):
    assert report_of(*report_text(report)) == report


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_the_json_of_a_report_is_that_of_its_text(report):
    kind, values = report_text(report)

    assert report_json(report) == (kind, json.dumps(values))
    assert report_json(replace(report, report_id="r-2")) != report_json(report)
