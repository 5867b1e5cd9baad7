"""Random accounts for properties: lots at gains and losses, all limits, whole and fractional shares, flags, history."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st

from services.decision.domain.problem import (
    AccountProblem,
    Band,
    CashRule,
    GroupLimit,
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
from tests.support.portfolios import TODAY, a_market

NAMES = tuple(InstrumentId(name) for name in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF"))


def _decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


@st.composite
def holdings(draw: st.DrawFn, instrument_id: InstrumentId, target: Decimal) -> Holding:
    """A holding of at most 4 lots, worth up to some ten thousand."""
    price = draw(_decimals("1.00", "900.00", 2))
    increment = draw(st.sampled_from([Decimal(1), Decimal("0.001"), Decimal("0.000000001")]))
    lots = tuple(
        LotState(
            lot_id=LotId(f"{instrument_id}-{number}"),
            acquired_date=TODAY - timedelta(days=draw(st.sampled_from([0, 5, 30, 31, 200, 365, 366, 2000]))),
            quantity=max(increment, (draw(st.integers(10, 8000)) / price).quantize(increment)),
            basis_total=draw(_decimals("0.00", "9000.00", 2)),
        )
        for number in range(draw(st.integers(0, 4)))
    )
    destination = draw(_decimals("0", "0.05", 3))
    return Holding(
        instrument_id=instrument_id,
        price=price,
        quantity_increment=increment,
        target_weight=target,
        band=Band(trigger=destination + draw(_decimals("0", "0.03", 3)), destination=destination),
        lots=lots,
        spread_bps=draw(st.sampled_from([Decimal(0), Decimal(4), Decimal(40)])),
        commission_bps=draw(st.sampled_from([Decimal(0), Decimal(2)])),
        commission_per_trade=draw(st.sampled_from([Decimal(0), Decimal("0.99")])),
        average_daily_value=draw(st.sampled_from([None, Decimal(100_000), Decimal(1_000_000_000)])),
        minimum_trade=draw(st.sampled_from([Decimal(0), Decimal(50), Decimal(500)])),
        held_away_value=draw(st.sampled_from([Decimal(0), Decimal(0), Decimal(1500)])),
        weight_max=draw(st.sampled_from([None, None, Decimal("0.4")])),
        identity_set=draw(st.sampled_from([None, None, None, "twins"])),
        no_buy=draw(st.sampled_from([None, None, None, "restricted"])),
        no_sell=draw(st.sampled_from([None, None, None, "locked"])),
    )


@st.composite
def accounts(draw: st.DrawFn) -> AccountProblem:
    """An account of 1 to 6 instruments."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    parts = [draw(st.integers(0, 5)) for _ in names]
    targets = [Decimal(part * 98 // max(sum(parts), 1)) / 100 for part in parts]
    recent = draw(
        st.lists(
            st.builds(
                RecentTrade,
                instrument_id=st.sampled_from(names),
                side=st.sampled_from(Side),
                trade_date=st.sampled_from([0, 10, 30, 31]).map(lambda days: TODAY - timedelta(days=days)),
                realized_gain=st.sampled_from([Decimal(-100), Decimal(100)]),
            ),
            max_size=2,
        )
    )
    groups = (GroupLimit("group", names[:2], Decimal(0), draw(st.sampled_from([Decimal("0.5"), Decimal(1)]))),)
    return AccountProblem(
        account_id=AccountId("account-1"),
        currency="USD",
        as_of_date=TODAY,
        cash=draw(_decimals("1000.00", "20000.00", 2)),
        holdings=tuple(draw(holdings(name, target)) for name, target in zip(names, targets, strict=True)),
        tax=TaxProfile(
            "US",
            taxable=draw(st.booleans()),
            short_rate=Decimal("0.35"),
            long_rate=Decimal("0.15"),
            gain_budget=draw(st.sampled_from([None, Decimal(0), Decimal(500)])),
            realized_long=draw(st.sampled_from([Decimal(0), Decimal(200), Decimal(-200)])),
        ),
        objective=Objective(
            risk_aversion=draw(st.sampled_from([Decimal(1), Decimal(10), Decimal(100)])),
            band_excess_price=draw(st.sampled_from([Decimal(0), Decimal("0.05")])),
            impact_coefficient=draw(st.sampled_from([Decimal(0), Decimal(1)])),
            loss_credit_weight=draw(st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)])),
        ),
        cash_rule=CashRule(
            floor=draw(st.sampled_from([Decimal(0), Decimal(900), Decimal(3000)])),
            ceiling_weight=draw(st.sampled_from([Decimal("0.05"), Decimal(1)])),
            withdrawal=draw(st.sampled_from([Decimal(0), Decimal(0), Decimal(500)])),
        ),
        limits=Limits(
            turnover=draw(st.sampled_from([None, Decimal("0.2"), Decimal(0)])),
            groups=draw(st.sampled_from([(), groups])),
        ),
        recent_trades=tuple(recent),
    )


def risk_models() -> st.SearchStrategy[RiskModel]:
    """A risk model of all instruments that `accounts` uses."""
    return st.integers(0, 1000).map(lambda seed: a_market(seed, NAMES))
