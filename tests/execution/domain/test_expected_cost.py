from datetime import date
from decimal import Decimal

import pytest

from services.execution.domain.expected_cost import AT_ONCE_DAYS, CostModel, CostRule, DayVolume

DAY = date(2022, 12, 27)
# Darden of table 3 of Almgren, Thum, Hauptmann and Li (2005): a tenth of the day's volume over a tenth of a day is 43
# basis points.
DARDEN = CostRule(
    model=CostModel.ALMGREN_2005,
    spread_bps=Decimal(8),
    daily_volatility=Decimal("0.0226"),
    inverse_turnover_days=Decimal(168) / Decimal("1.929"),
)
DARDEN_VOLUME = DayVolume(Decimal(1_929_000), DAY)


def test_the_square_root_law_takes_the_instruments_own_volume():
    rule = CostRule(spread_bps=Decimal(8), daily_volume=Decimal(1_000_000), daily_volatility=Decimal("0.01"))

    by_setting = rule.of_shares(Decimal(100), None, AT_ONCE_DAYS)
    by_volume = rule.of_shares(Decimal(100), DayVolume(Decimal(10_000), DAY), AT_ONCE_DAYS)

    # 4 of the spread; 100 times the root of a ten-thousandth, and of a hundredth.
    assert (by_setting.bps, by_volume.bps) == (5, 14)
    assert by_setting.inputs["daily_volume_day"] is None
    assert dict(by_volume.inputs) == {
        "spread_bps": 8,
        "daily_volume": 10_000,
        "daily_volume_day": DAY,
        "daily_volatility": Decimal("0.01"),
        "factor": 1,
    }


def test_almgren_and_others_by_their_published_table_above_half_the_spread():
    expected = DARDEN.of_shares(Decimal(192_900), DARDEN_VOLUME, AT_ONCE_DAYS)

    assert expected.model is CostModel.ALMGREN_2005
    assert round(expected.bps - 4) == 43
    assert round(DARDEN.of_shares(Decimal(192_900), DARDEN_VOLUME, Decimal("0.5")).bps - 4) == 23
    assert (expected.inputs["days"], round(expected.inputs["inverse_turnover_days"])) == (AT_ONCE_DAYS, 87)


def test_parts_of_an_even_schedule_have_the_schedules_temporary_impact_and_their_own_lasting_one():
    whole = DARDEN.of_shares(Decimal(192_900), DARDEN_VOLUME, Decimal("0.5"))
    part = DARDEN.of_shares(Decimal(19_290), DARDEN_VOLUME, Decimal("0.05"))

    # Of both the lasting impact is in proportion to the quantity, and the haste is the same.
    lasting = Decimal("0.314") * Decimal("0.0226") / 10 * DARDEN.inverse_turnover_days ** Decimal("0.25") / 2 * 10_000
    assert abs((whole.bps - part.bps) - lasting * Decimal("0.9")) < Decimal("0.001")


def test_an_amount_of_a_currency_costs_half_the_spread_and_no_impact_of_shares():
    for model in (CostModel.SQUARE_ROOT, CostModel.ALMGREN_2005):
        expected = CostRule(model=model, spread_bps=Decimal(3)).of_pair()

        assert (expected.bps, expected.model, dict(expected.inputs)) == (
            Decimal("1.5"),
            CostModel.HALF_SPREAD,
            {"spread_bps": 3},
        )


def test_a_rule_whose_model_is_none_of_shares_is_refused():
    with pytest.raises(ValueError, match="SQUARE_ROOT or ALMGREN_2005, was HALF_SPREAD"):
        CostRule(model=CostModel.HALF_SPREAD).of_shares(Decimal(1), None, AT_ONCE_DAYS)
