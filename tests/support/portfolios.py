"""Builders of accounts and risk models that read like the sentence: `an_account(cash=100).holding("VTI", units=10)`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from services.decision.domain.problem import (
    AccountProblem,
    Band,
    CashRule,
    Holding,
    Limits,
    LotId,
    LotState,
    Objective,
    RecentTrade,
    RiskModel,
    Side,
    TaxProfile,
)
from services.kernel.ids import AccountId, InstrumentId

TODAY = date(2022, 12, 28)
LONG_AGO = date(2015, 3, 2)
TEXTS = ("identity_set", "no_buy", "no_sell", "asset_kind")
Number = Decimal | int | str

# Yearly rates of a high bracket: what the United States take from short-term and long-term gains.
US_TAXABLE = TaxProfile("US", taxable=True, short_rate=Decimal("0.35"), long_rate=Decimal("0.15"))
US_EXEMPT = TaxProfile("US", taxable=False)


@dataclass(frozen=True)
class AccountBuilder:
    """An account that grows by one holding at a time. Everything not said costs nothing and limits nothing."""

    parts: dict[str, Any]

    def holding(
        self,
        instrument_id: str,
        *,
        units: Number = 0,
        price: Number = 100,
        target: Number = 0,
        basis: Number | None = None,
        acquired: date = LONG_AGO,
        lots: Sequence[LotState] | None = None,
        trigger: Number = 0,
        destination: Number = 0,
        increment: Number = 1,
        **more: Any,
    ) -> "AccountBuilder":
        """Add a holding; `basis` is per unit, and the price when it is not said."""
        units, price = Decimal(units), Decimal(price)
        per_unit = price if basis is None else Decimal(basis)
        if lots is None:
            lots = [a_lot(f"{instrument_id}-1", units, per_unit, acquired)] if units else []
        numbers: dict[str, Any] = {
            name: Decimal(each) if name not in TEXTS and each is not None else each for name, each in more.items()
        }
        holding = Holding(
            instrument_id=InstrumentId(instrument_id),
            price=price,
            quantity_increment=Decimal(increment),
            target_weight=Decimal(target),
            band=Band(Decimal(trigger), Decimal(destination)),
            lots=tuple(lots),
            **numbers,
        )
        return replace(self, parts={**self.parts, "holdings": (*self.parts["holdings"], holding)})

    def having(self, **parts: Any) -> "AccountBuilder":
        """Set parts of the problem: `tax`, `objective`, `cash_rule`, `limits`, `recent_trades`."""
        return replace(self, parts={**self.parts, **parts})

    def caring(self, **weights: Number) -> "AccountBuilder":
        """Set weights of the objective."""
        decimals = {name: Decimal(value) for name, value in weights.items()}
        return self.having(objective=replace(self.parts["objective"], **decimals))

    def build(self) -> AccountProblem:
        """Return the problem."""
        return AccountProblem(**self.parts)


def an_account(cash: Number = 0, **parts: Any) -> AccountBuilder:
    """Return an account without holdings, in US dollars, not taxed."""
    given = {
        "account_id": AccountId("account-1"),
        "currency": "USD",
        "as_of_date": TODAY,
        "cash": Decimal(cash),
        "holdings": (),
        "tax": US_EXEMPT,
        "objective": Objective(risk_aversion=Decimal(10), band_excess_price=Decimal(0)),
        "cash_rule": CashRule(),
        "limits": Limits(),
        "recent_trades": (),
    }
    return AccountBuilder({**given, **parts})


def a_lot(lot_id: str, units: Number, basis: Number, acquired: date = LONG_AGO) -> LotState:
    """Return a lot; `basis` is per unit."""
    return LotState(LotId(lot_id), acquired, Decimal(units), Decimal(units) * Decimal(basis))


def a_loss_sale(instrument_id: str, on: date) -> RecentTrade:
    """Return a past sale at a loss."""
    return RecentTrade(InstrumentId(instrument_id), Side.SELL, on, Decimal(-1))


def a_purchase(instrument_id: str, on: date) -> RecentTrade:
    """Return a past purchase."""
    return RecentTrade(InstrumentId(instrument_id), Side.BUY, on)


def independent(**variances: float) -> RiskModel:
    """Return a risk model of uncorrelated instruments, by yearly variance."""
    ids = tuple(InstrumentId(name) for name in variances)
    return RiskModel(ids, np.zeros((len(ids), 1)), np.array(list(variances.values())), "by hand")


def a_market(seed: int, instrument_ids: Sequence[str]) -> RiskModel:
    """Return a plausible risk model: three factors, the first a market, volatilities of 10 to 40 % a year."""
    rng = np.random.default_rng(seed)
    exposures = 0.1 * rng.standard_normal((len(instrument_ids), 3))
    exposures[:, 0] = rng.uniform(0.1, 0.25, len(instrument_ids))
    specific = rng.uniform(0.05, 0.3, len(instrument_ids)) ** 2
    return RiskModel(tuple(InstrumentId(each) for each in instrument_ids), exposures, specific, "by seed")
