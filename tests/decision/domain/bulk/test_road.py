"""Columns beside objects, on random accounts."""

import sys

import pytest

from tests.decision.domain.bulk.against import compared

# The first on a machine compiles, a minute of processor time.
pytestmark = [pytest.mark.timeout(600)]


def test_the_roads_agree_on_random_accounts():
    counts = compared(40, 5)

    assert counts["accounts"] == 40
    # Hypothesis also draws constants of the modules that happen to be loaded, so a seed does not say how many trade.
    assert counts["TRADE"] >= 2
    assert counts["NO_TRADE"] >= 1
    assert counts["repeated"] == 2
    assert counts["worse"] <= 2


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_the_roads_agree_on_ten_thousand_random_accounts():
    counts = compared(10_000, 7)
    sys.stdout.write(f"{dict(counts)}\n")

    assert counts["accounts"] == 10_000
    # A whole increment here and there; each is certified by its own bound.
    assert counts["worse"] <= 200
