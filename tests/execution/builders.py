"""Portfolios, plans and situations of execution's tests, that read like the sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.execution.domain.limits import DayLimit, LimitKind, Limits
from services.execution.domain.plan import Plan, Preferences, Trade
from services.execution.domain.pretrade import Situation
from services.execution.domain.words import Algorithm, ReferencePrice, Side

NOON = datetime(2022, 12, 28, 17, 0, tzinfo=UTC)
VERSION = "sha256:" + "a" * 64

WIDE = DayLimit(orders_max=1_000_000, amount_max=Decimal("1e12"))
LIMITS = Limits(
    order_quantity_max=Decimal(1_000_000),
    order_amount_max=Decimal(10_000_000),
    trades_per_plan_max=500,
    days=dict.fromkeys(LimitKind, WIDE),
    collar_bps=Decimal(500),
    price_age_max=timedelta(hours=24),
    cost_buffer_bps=Decimal(100),
)


def a_trade(instrument="VTI", side=Side.BUY, quantity=10, price=100, *, increment=1, held=None, rank=0, cost="0.50"):
    if held is None:
        held = quantity if side is Side.SELL else 0
    return Trade(
        instrument_id=instrument,
        side=side,
        quantity=Decimal(quantity),
        increment=Decimal(increment),
        price=Decimal(price),
        trading_cost=Decimal(cost),
        held_quantity=Decimal(held),
        rank=rank,
    )


def a_plan(*trades, plan="plan-1", account="acc-1", cash=10_000, **fields):
    consent = fields.pop("consent", True)
    crossing = fields.pop("crossing", False)
    limit_bps = fields.pop("limit_bps", None)
    algorithm = fields.pop("algorithm", Algorithm.IMMEDIATE)
    participation = fields.pop("participation", None)
    ranked = tuple(replace(trade, rank=rank) for rank, trade in enumerate(trades or (a_trade(),)))
    values = {
        "plan_id": plan,
        "plan_hash": "sha256:" + "b" * 64,
        "run_id": "run-1",
        "account_id": account,
        "household_id": None,
        "custodian": "custodian-a",
        "currency": "USD",
        "available_cash": Decimal(cash),
        "policy_version_hashes": (VERSION,),
        "policy_hash": "sha256:" + "c" * 64,
        "approver": "rule",
        "expire_time": NOON + timedelta(hours=4),
        "trades": ranked,
        "preferences": Preferences(
            aggregation_consent=consent,
            limit_distance_bps=None if limit_bps is None else Decimal(limit_bps),
            venue_id=None,
            algorithm=algorithm,
            participation_limit=None if participation is None else Decimal(participation),
            crossing_consent=crossing,
        ),
    }
    return Plan(**(values | fields))


def a_price(instrument="VTI", price=100, *, at=NOON, currency="USD"):
    return ReferencePrice(instrument, Decimal(price), currency, at, "test")


def a_situation(*prices, **fields):
    values = {
        "now": NOON,
        "limits": LIMITS,
        "usage": {},
        "prices": {price.instrument_id: price for price in prices or (a_price(), a_price("BND"))},
        "restricted": frozenset(),
        "halts": {},
        "in_force": frozenset({VERSION}),
        "paused": {},
        "outdated": {},
        "open_instruments": frozenset(),
        "venue_id": "sandbox",
    }
    return Situation(**(values | fields))
