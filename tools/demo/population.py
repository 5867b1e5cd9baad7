"""A thousand clients who bought real shares on real days, made from a seed.

Each account put money in on several past days, at that day's closes and about in its model's proportions, and was
never rebalanced since; so its drift, its gains and its losses are those that the market made. Some put in all of it in
the last weeks, and need nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from random import Random

from tools.demo.prices import DailyPrices

CENT = Decimal("0.01")

# Share of accounts that hold the factor-ETF model; the others hold the direct index.
FACTOR_SHARE = 0.6
# Share of accounts that are pension wrappers.
DEFERRED_SHARE = 0.15
# Share of accounts that are new, and how many trading days old those are at most.
NEW_SHARE = 0.2
NEW_DAYS = 15
# How far a purchase is from the model's proportions, in percent of each weight.
JITTER, NEW_JITTER = 20, 2


@dataclass(frozen=True, slots=True)
class Model:
    """A mix that accounts follow: weights by instrument and for cash, together 1."""

    node_id: str
    name: str
    weights: dict[str, Decimal]
    cash_weight: Decimal
    quantity_increment: Decimal


@dataclass(frozen=True, slots=True)
class LotBought:
    """Units bought on one day, and what they cost in all."""

    lot_id: str
    instrument_id: str
    acquired_date: date
    quantity: Decimal
    basis: Decimal


@dataclass(frozen=True, slots=True)
class Client:
    """One account of the book."""

    account_id: str
    household_id: str
    model: Model
    tax_wrapper: str
    custodian: str
    cash: Decimal
    short_term_gain: Decimal
    long_term_gain: Decimal
    lots: tuple[LotBought, ...]


FACTOR_ETFS = Model(
    node_id="model-factor-etfs",
    name="Five factor ETFs",
    weights={
        "MTUM": Decimal("0.20"),
        "QUAL": Decimal("0.29"),
        "SIZE": Decimal("0.10"),
        "USMV": Decimal("0.25"),
        "VLUE": Decimal("0.15"),
    },
    cash_weight=Decimal("0.01"),
    quantity_increment=Decimal("0.001"),
)

DIRECT_INDEX = Model(
    node_id="model-direct-index",
    name="Twenty stocks, held directly",
    weights={
        "AAPL": Decimal("0.12"), "AMD": Decimal("0.02"), "BAC": Decimal("0.03"), "BBY": Decimal("0.01"),
        "CVX": Decimal("0.05"), "GE": Decimal("0.02"), "HD": Decimal("0.05"), "JNJ": Decimal("0.07"),
        "JPM": Decimal("0.05"), "KO": Decimal("0.04"), "LLY": Decimal("0.06"), "MRK": Decimal("0.04"),
        "MSFT": Decimal("0.12"), "PEP": Decimal("0.04"), "PFE": Decimal("0.04"), "PG": Decimal("0.05"),
        "RRC": Decimal("0.01"), "UNH": Decimal("0.07"), "WMT": Decimal("0.05"), "XOM": Decimal("0.05"),
    },
    cash_weight=Decimal("0.01"),
    quantity_increment=Decimal("1"),
)  # fmt: skip

MODELS = (FACTOR_ETFS, DIRECT_INDEX)


def clients(count: int, seed: int, prices: DailyPrices, today: date) -> list[Client]:
    """Return `count` clients, by account id; the same for the same arguments.

    The last client is large and has just paid in: its plan is the one that a person looks at.

    Args:
        count: At least 2.
        seed: Of everything random.
        prices: Closes of every instrument of both models.
        today: The book's day; all lots were bought before it.
    """
    random = Random(seed)  # noqa: S311 - a reproducible population, not a secret
    days = [day for day in prices.dates if day < today]
    return [_client(number, random, prices, days, large=number == count) for number in range(1, count + 1)]


def _client(number: int, random: Random, prices: DailyPrices, days: Sequence[date], *, large: bool) -> Client:
    model = FACTOR_ETFS if random.random() < FACTOR_SHARE and not large else DIRECT_INDEX
    deferred = random.random() < DEFERRED_SHARE and not large
    invested = Decimal("2500000") if large else _cents(Decimal(str(round(random.lognormvariate(11.9, 0.7), 2))))
    new = random.random() < NEW_SHARE and not large
    first_day = len(days) - NEW_DAYS if new else random.randrange(len(days) // 4, len(days) - NEW_DAYS)
    purchase_days = sorted(random.sample(range(first_day, len(days)), k=random.randint(2, 6)))
    parts = _shares_of_one(random, len(purchase_days))
    lots: list[LotBought] = []
    cash = _cents(invested * Decimal(random.randint(2, 20)) / 1000)
    for day_row, part in zip(purchase_days, parts, strict=True):
        jitter = NEW_JITTER if new else JITTER
        lots += _purchase(len(lots), random, model, prices, days[day_row], invested * part, jitter)
    if large:
        cash += Decimal("900000")
    elif random.random() < 0.05:
        cash += _cents(invested * Decimal(random.randint(5, 25)) / 100)
    return Client(
        account_id=f"account-{number:05d}",
        # Two in a household, who share a model because the household hangs below it.
        household_id=f"household-{model.node_id.removeprefix('model-')}-{(number + 1) // 2:05d}",
        model=model,
        tax_wrapper="TAX_WRAPPER_DEFERRED" if deferred else "TAX_WRAPPER_TAXABLE",
        custodian="custodian-a" if random.random() < 0.7 else "custodian-b",
        cash=cash,
        short_term_gain=_cents(Decimal(random.randint(-3000, 3000))),
        long_term_gain=_cents(Decimal(random.randint(-2000, 6000))),
        lots=tuple(lots),
    )


def _purchase(
    first_lot: int, random: Random, model: Model, prices: DailyPrices, day: date, money: Decimal, jitter: int
) -> list[LotBought]:
    bought: list[LotBought] = []
    for instrument_id, weight in model.weights.items():
        price = prices.close(instrument_id, day)
        wanted = money * weight * Decimal(random.randint(100 - jitter, 100 + jitter)) / 100 / price
        quantity = wanted.quantize(model.quantity_increment, rounding=ROUND_DOWN)
        if quantity > 0:
            lot_id = f"lot-{first_lot + len(bought) + 1:03d}"
            bought.append(LotBought(lot_id, instrument_id, day, quantity, _cents(quantity * price)))
    return bought


def _shares_of_one(random: Random, count: int) -> list[Decimal]:
    weights = [random.randint(1, 10) for _ in range(count)]
    total = sum(weights)
    return [Decimal(weight) / total for weight in weights]


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT)
