"""Books for tests, that read like the sentence: `an_account("a1", cash=100).holding("VTI", lot("l1", 10, 1000))`."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import Allocation, BookColumns, SnapshotHeader
from services.decision.domain.columns import EPOCH, Numbers
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import Side
from services.kernel.decimals import to_units
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId

# The instant that books are true of, and the day after it.
CLOSE = datetime(2022, 12, 27, 21, tzinfo=UTC)
TRADE_DATE = date(2022, 12, 28)
# The market's time when they arrive.
MORNING = datetime(2022, 12, 28, 14, 30, tzinfo=UTC)

USED = ("VTI", "BND", "AAPL")


@dataclass(frozen=True)
class ALot:
    lot_id: str
    quantity: Decimal
    basis: Decimal
    acquired: date


@dataclass(frozen=True)
class AHolding:
    instrument_id: str
    quantity: Decimal
    holding: str
    lots: tuple[ALot, ...]


@dataclass(frozen=True)
class AnAccount:
    account_id: str
    cash: Decimal
    household_id: str = ""
    custodian: str = "custodian-a"
    currency: str = "USD"
    tax_wrapper: str = "TAX_WRAPPER_TAXABLE"
    reserved_cash: Decimal = Decimal(0)
    short_term_gain: Decimal = Decimal(0)
    long_term_gain: Decimal = Decimal(0)
    share_gain: Decimal = Decimal(0)
    holdings: tuple[AHolding, ...] = field(default=())

    def holding(self, instrument_id, *lots, units=None, kind="HOLDING_TRADED"):
        quantity = Decimal(units) if units is not None else sum((lot.quantity for lot in lots), Decimal(0))
        return replace(self, holdings=(*self.holdings, AHolding(instrument_id, quantity, kind, lots)))


def an_account(account_id="a1", *, cash=1000, **words):
    amounts = {name: Decimal(value) for name, value in words.items() if name not in _WORDS}
    return AnAccount(account_id, Decimal(cash), **amounts, **{name: words[name] for name in _WORDS & words.keys()})


_WORDS = {"household_id", "custodian", "currency", "tax_wrapper"}


def lot(lot_id, units, basis, acquired="2020-01-02"):
    return ALot(lot_id, Decimal(units), Decimal(basis), date.fromisoformat(acquired))


def a_header(
    *instrument_ids, as_of_time=CLOSE, source="custodian-a", shares=(), kinds=None, currency="USD", fund_years=()
):
    kinds = {**dict.fromkeys(shares, AssetKind.SHARE), **(kinds or {})}
    known = [
        Instrument(
            InstrumentId(each),
            currency,
            Decimal("0.001"),
            "equity",
            asset_kind=kinds.get(each, AssetKind.OTHER),
            fund_years=tuple(year for year in fund_years if year.asset == each),
        )
        for each in instrument_ids or USED
    ]
    return SnapshotHeader(source, as_of_time, known)


def columns(*accounts, money_scale=2, unit_scale=3):
    """Return the accounts as a part of a snapshot."""
    positions = [(row, holding) for row, account in enumerate(accounts) for holding in account.holdings]
    lots = [(row, each) for row, (_, holding) in enumerate(positions) for each in holding.lots]

    def numbers(values, scale):
        return Numbers(to_units(values, scale), scale)

    return BookColumns(
        account_ids=[each.account_id for each in accounts],
        household_ids=[each.household_id for each in accounts],
        custodians=[each.custodian for each in accounts],
        currencies=[each.currency for each in accounts],
        tax_wrappers=[each.tax_wrapper for each in accounts],
        cash=numbers([each.cash for each in accounts], money_scale),
        reserved_cash=numbers([each.reserved_cash for each in accounts], money_scale),
        short_term_gains=numbers([each.short_term_gain for each in accounts], money_scale),
        long_term_gains=numbers([each.long_term_gain for each in accounts], money_scale),
        share_gains=numbers([each.share_gain for each in accounts], money_scale),
        position_accounts=[row for row, _ in positions],
        position_instruments=[holding.instrument_id for _, holding in positions],
        position_quantities=numbers([holding.quantity for _, holding in positions], unit_scale),
        position_holdings=[holding.holding for _, holding in positions],
        lot_positions=[row for row, _ in lots],
        lot_ids=[each.lot_id for _, each in lots],
        lot_acquired_dates=[(each.acquired - EPOCH).days for _, each in lots],
        lot_quantities=numbers([each.quantity for _, each in lots], unit_scale),
        lot_bases=numbers([each.basis for _, each in lots], money_scale),
    )


def an_allocation(position, side, instrument_id, units, value, *, account_id="a1", fees=0, plan_id="p1", **changes):
    return replace(
        Allocation(
            position=position,
            order_id=OrderId(f"order-{plan_id}-{instrument_id}"),
            block_id=BlockId(f"block-{instrument_id}"),
            account_id=AccountId(account_id),
            plan_id=PlanId(plan_id),
            instrument_id=InstrumentId(instrument_id),
            side=Side(side),
            quantity=Decimal(units),
            price=Decimal(value) / Decimal(units),
            value=Decimal(value),
            fees=Decimal(fees),
            currency="USD",
            trade_date=TRADE_DATE,
            settlement_date=TRADE_DATE + timedelta(days=2),
        ),
        **changes,
    )
