"""Random books as decision keeps them: what a run decides on, before anything of it is floating point.

20 ETFs, 80 lots and more, whole shares, minimum trades, market impact, wash-sale windows: everything that a real run
has, so that a figure of it counts every step from the account to its recorded plan.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from services.decision.domain.book import AccountBook, HoldingKind, Position, SnapshotId, TaxWrapper
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.instruments import Instrument
from services.decision.domain.market import Market
from services.decision.domain.policy import Distance, Policy, TaxSettings
from services.decision.domain.prices import PriceSet, PriceSetId, Quote
from services.decision.domain.problem import LotId, LotState, RiskModel
from services.kernel.ids import AccountId, InstrumentId, PolicyHash
from services.kernel.money import Money

AS_OF = datetime(2026, 3, 2, 15, tzinfo=UTC)
INSTRUMENTS, FACTORS, LOTS = 20, 8, 4.5


def inputs(count: int, seed: int = 0, engine: str = "kernel") -> tuple[list[AccountInputs], Basis]:
    """Return accounts of one firm, each with its policy, and what they are decided on."""
    rng = np.random.default_rng(seed)
    names = [InstrumentId(f"ETF-{number:02}") for number in range(INSTRUMENTS)]
    prices = [Decimal(f"{price:.2f}") for price in np.exp(rng.uniform(np.log(15), np.log(600), INSTRUMENTS))]
    basis = _basis(rng, names, prices, engine)
    policies = [_policy(rng, names) for _ in range(10)]
    return [_inputs(rng, number, names, prices, policies) for number in range(count)], basis


def _basis(rng: np.random.Generator, names: list[InstrumentId], prices: list[Decimal], engine: str) -> Basis:
    volatility = rng.uniform(0.05, 0.30, INSTRUMENTS)
    loadings = rng.standard_normal((INSTRUMENTS, FACTORS)) * 0.6 ** np.arange(FACTORS)
    loadings *= (0.8 * volatility / np.linalg.norm(loadings, axis=1))[:, None]
    quotes = {
        name: Quote(
            price, price * Decimal("0.9997"), price * Decimal("1.0003"), Decimal(int(rng.integers(10**5, 10**7)))
        )
        for name, price in zip(names, prices, strict=True)
    }
    return Basis(
        market=Market(
            PriceSet(PriceSetId("prices"), "sha256:prices", "bench", AS_OF, AS_OF, quotes),
            {name: Instrument(name, "USD", Decimal(1), "equity") for name in names},
        ),
        risk_model=RiskModel(tuple(names), loadings, (0.6 * volatility) ** 2, "bench"),
        instruments_hash="sha256:instruments",
        risk_model_hash="sha256:risk",
        engine=engine,
        as_of_time=AS_OF,
        currency="USD",
    )


def _policy(rng: np.random.Generator, names: list[InstrumentId]) -> Policy:
    held = rng.choice(INSTRUMENTS, int(rng.integers(12, 19)), replace=False)
    weights = [Decimal(f"{weight:.4f}") for weight in 0.98 * rng.dirichlet(np.full(len(held), 2.0))]
    mix = {names[row]: weight for row, weight in sorted(zip(held.tolist(), weights, strict=True))}
    return Policy(
        weights=mix,
        cash_weight=1 - sum(mix.values(), Decimal(0)),
        trigger=Distance(Decimal("0.01"), Decimal("0.10")),
        destination=Distance(Decimal("0.005"), Decimal("0.05")),
        minimum_trade=Money(Decimal(100), "USD"),
        cash_drift=Decimal("0.03"),
        tracking_variance_price_bps=Decimal(50_000),
        band_excess_price_bps=Decimal(500),
        tax=TaxSettings("US", Decimal("0.408"), Decimal("0.238")),
        turnover_limit=Decimal("0.30"),
        cash_floor=Decimal("0.005"),
    )


def _inputs(
    rng: np.random.Generator,
    number: int,
    names: list[InstrumentId],
    prices: list[Decimal],
    policies: list[Policy],
) -> AccountInputs:
    which = int(rng.integers(len(policies)))
    policy = policies[which]
    value = float(np.exp(rng.uniform(np.log(2e4), np.log(2e6))))
    positions = []
    for row, name in enumerate(names):
        target = float(policy.weights.get(name, 0))
        weight = target * float(np.exp(0.12 * rng.standard_normal())) + (rng.random() < 0.06) * rng.uniform(0.002, 0.03)
        units = int(weight * value / float(prices[row]))
        lots = _lots(rng, f"a{number}-{row}", units, float(prices[row]))
        if lots:
            quantity = sum((lot.quantity for lot in lots), Decimal(0))
            positions.append(Position(name, HoldingKind.TRADED, quantity, lots))
    share = rng.uniform(0.03, 0.12) if rng.random() < 0.25 else rng.uniform(0.005, 0.03)
    account = AccountBook(
        account_id=AccountId(f"account-{number:07}"),
        household_id=None,
        custodian="custodian-a",
        currency="USD",
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=Decimal(f"{value * share:.2f}"),
        reserved_cash=Decimal(0),
        realized=(),
        positions=tuple(positions),
        snapshot_id=SnapshotId("snapshot"),
        as_of_time=AS_OF,
    )
    return AccountInputs(account, f"sha256:account-{number}", policy, PolicyHash(f"sha256:policy-{which}"), ())


def _lots(rng: np.random.Generator, name: str, units: int, price: float) -> tuple[LotState, ...]:
    wanted = max(int(rng.poisson(LOTS)), 1)
    edges = np.unique(np.concatenate([[0, units], rng.integers(0, units + 1, wanted - 1)]))
    paid = price * np.exp(rng.normal(-0.25, 0.22) + rng.normal(0.0, 0.12, len(edges) - 1))
    days = np.sort(rng.integers(20, 2500, len(edges) - 1))[::-1]
    return tuple(
        LotState(
            LotId(f"{name}-{index}"),
            date(2026, 3, 1) - timedelta(days=int(days[index])),
            Decimal(int(edges[index + 1] - edges[index])),
            Decimal(f"{paid[index] * (edges[index + 1] - edges[index]):.2f}"),
        )
        for index in range(len(edges) - 1)
    )
