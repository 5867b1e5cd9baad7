from decimal import Decimal

import pytest

from services.decision.domain.decision import TriggerKind
from services.decision.domain.problem import CashRule, DecideOptions
from services.decision.domain.triggers import triggers
from tests.support.portfolios import AccountBuilder, an_account

D = Decimal


def kinds(account: AccountBuilder, *, ignore_triggers: bool = False) -> list[TriggerKind]:
    return [each.kind for each in triggers(account.build(), DecideOptions(ignore_triggers=ignore_triggers))]


@pytest.mark.parametrize(("units", "asks"), [(45, False), (55, False), (44, True), (56, True)])
def test_a_drift_asks_outside_its_band_and_not_at_its_edge(units, asks):
    account = an_account(cash=10_000 - 100 * units).holding("VTI", units=units, target="0.5", trigger="0.05")

    assert kinds(account) == ([TriggerKind.DRIFT] if asks else [])


def test_the_largest_drift_comes_first():
    account = an_account(cash=0).holding("AAA", units=52, target="0.5").holding("BBB", units=48, target="0.38")
    asked = triggers(account.build(), DecideOptions())

    assert [each.instrument_id for each in asked] == ["BBB", "AAA"]
    assert [each.value for each in asked] == [D("0.1"), D("0.02")]
    assert asked[0].sentence == "BBB is 10.00 % above its target, outside its band of 0.00 %."


def test_what_is_held_away_counts():
    account = an_account(cash=4_500).holding("VTI", units=45, held_away_value=1_000, target="0.5", trigger="0.05")

    assert kinds(account) == []


def test_cash_asks_outside_its_corridor():
    account = an_account(cash=500).holding("VTI", units=95, target="0.95", trigger="0.06")

    def with_cash(**rule: D) -> list[TriggerKind]:
        return kinds(account.having(cash_rule=CashRule(**rule)))

    assert with_cash(floor=D(500)) == []
    assert with_cash(floor=D("500.01")) == [TriggerKind.CASH_FLOOR]
    assert with_cash(floor_weight=D("0.06")) == [TriggerKind.CASH_FLOOR]
    assert with_cash(ceiling_weight=D("0.05")) == []
    assert with_cash(ceiling_weight=D("0.049")) == [TriggerKind.CASH_CEILING]
    assert with_cash(withdrawal=D(501)) == [TriggerKind.CASH_FLOOR]


def test_money_that_came_or_went_asks():
    account = an_account(cash=500).holding("VTI", units=95, target="0.95")

    assert kinds(account.having(cash_rule=CashRule(flow=D(1)))) == [TriggerKind.CASH_FLOW]
    assert kinds(account.having(cash_rule=CashRule(flow=D(-1)))) == [TriggerKind.CASH_FLOW]


def test_a_person_may_ask():
    account = an_account(cash=500).holding("VTI", units=95, target="0.95")

    assert kinds(account) == []
    assert kinds(account, ignore_triggers=True) == [TriggerKind.REQUESTED]
