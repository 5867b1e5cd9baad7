from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from services.decision.domain.problem import CashRule, GroupLimit, Limits, RiskModel
from services.kernel.errors import Invalid
from tests.support.portfolios import TODAY, US_TAXABLE, AccountBuilder, a_lot, an_account

D = Decimal
GOOD = an_account(cash=100).holding("VTI", units=10, target="0.5")

REFUSED: list[tuple[str, Callable[[], AccountBuilder]]] = [
    ("holdings[VTI].price", lambda: an_account(cash=1).holding("VTI", price=0)),
    ("holdings[VTI].price", lambda: an_account(cash=1).holding("VTI", price="-1")),
    ("holdings[VTI].price", lambda: an_account(cash=1).holding("VTI", price="NaN")),
    ("holdings[VTI].price", lambda: an_account(cash=1).holding("VTI", price="Infinity")),
    ("holdings[VTI].quantity_increment", lambda: an_account(cash=1).holding("VTI", increment="0.0000000001")),
    ("holdings[VTI].target_weight", lambda: an_account(cash=1).holding("VTI", target="1.01")),
    ("holdings[VTI].target_weight", lambda: an_account(cash=1).holding("VTI", target="-0.01")),
    ("holdings[VTI].band.trigger", lambda: an_account(cash=1).holding("VTI", trigger="0.01", destination="0.02")),
    ("holdings[VTI].spread_bps", lambda: an_account(cash=1).holding("VTI", spread_bps=-1)),
    ("holdings[VTI].average_daily_value", lambda: an_account(cash=1).holding("VTI", average_daily_value=0)),
    ("holdings[VTI].lots[a].quantity", lambda: an_account(cash=1).holding("VTI", lots=[a_lot("a", 0, 1)])),
    ("holdings[VTI].lots[a].basis_total", lambda: an_account(cash=1).holding("VTI", lots=[a_lot("a", 1, -1)])),
    (
        "holdings[VTI].lots[a].acquired_date",
        lambda: an_account(cash=1).holding("VTI", lots=[a_lot("a", 1, 1, TODAY + timedelta(days=1))]),
    ),
    ("holdings[VTI].lots[a]", lambda: an_account(cash=1).holding("VTI", lots=[a_lot("a", 1, 1), a_lot("a", 1, 1)])),
    ("holdings[VTI]", lambda: GOOD.holding("VTI")),
    ("holdings", lambda: GOOD.holding("BND", target="0.51")),
    ("holdings", lambda: an_account(cash=0)),
    ("cash", lambda: an_account(cash="NaN").holding("VTI", units=1)),
    ("cash_rule.floor", lambda: GOOD.having(cash_rule=CashRule(floor=D(-1)))),
    ("cash_rule.ceiling_weight", lambda: GOOD.having(cash_rule=CashRule(floor_weight=D("0.1"), ceiling_weight=D(0)))),
    ("tax.short_rate", lambda: GOOD.having(tax=replace(US_TAXABLE, short_rate=D("1.01")))),
    ("tax.gain_budget", lambda: GOOD.having(tax=replace(US_TAXABLE, gain_budget=D(-1)))),
    ("limits.turnover", lambda: GOOD.having(limits=Limits(turnover=D(-1)))),
    ("limits.groups[g]", lambda: GOOD.having(limits=Limits(groups=(GroupLimit("g", ("BND",)),)))),
    ("objective.risk_aversion", lambda: GOOD.caring(risk_aversion=-1)),
    ("objective.loss_credit_weight", lambda: GOOD.caring(loss_credit_weight=2)),
]


@pytest.mark.parametrize(("field", "account"), REFUSED)
def test_a_value_that_cannot_be_is_refused_by_name(field, account):
    with pytest.raises(Invalid) as refused:
        account().build()

    assert field in [violation.field for violation in refused.value.violations]


def test_weights_are_fractions_of_what_counts_in_the_mix():
    account = an_account(cash=100, cash_rule=CashRule(withdrawal=D(40))).holding("VTI", units=10, held_away_value=500)

    assert account.build().mix_value == 100 - 40 + 1000 + 500


def test_the_cash_floor_is_the_larger_rule_and_the_withdrawal():
    def floor(**rule: D) -> D:
        return an_account(cash=100, cash_rule=CashRule(**rule)).holding("VTI", units=9).build().cash_floor

    assert floor(floor=D(50), floor_weight=D("0.02")) == 50
    assert floor(floor=D(10), floor_weight=D("0.02")) == 20
    assert floor(floor=D(50), withdrawal=D(30)) == 80


def test_a_risk_model_that_cannot_be_is_refused():
    good = {"exposures": np.zeros((2, 1)), "specific_variance": np.ones(2)}

    def refused(**parts: np.ndarray) -> list[str]:
        with pytest.raises(Invalid) as error:
            RiskModel(("A", "B"), source="by hand", **{**good, **parts})
        return [violation.field for violation in error.value.violations]

    assert refused(exposures=np.zeros((3, 1))) == ["exposures"]
    assert refused(exposures=np.full((2, 1), np.nan)) == ["exposures"]
    assert refused(specific_variance=np.array([1.0, 0.0])) == ["specific_variance"]
    assert refused(specific_variance=np.array([1.0, np.inf])) == ["specific_variance"]
    with pytest.raises(Invalid):
        RiskModel(("A", "A"), source="by hand", **good)
