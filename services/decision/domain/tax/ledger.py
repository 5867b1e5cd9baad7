"""A taxpayer's history, derived from what is on record: events, the snapshot an account began as, and its bookings.

An account whose whole history was recorded begins with nothing. Another one begins as its snapshot says: each lot with
its own day and cost as of the snapshot, so that what happened to the asset before is not counted again. What
execution reported is added to both, from where the record or the snapshot ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import AccountBook, TaxWrapper
from services.decision.domain.fund_years import FundYear
from services.decision.domain.problem import ZERO, LotId, Side
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    History,
    Owner,
    Receipt,
    Reorganization,
    Split,
    TaxAccount,
    Transfer,
    part,
    total,
)
from services.decision.domain.tax.assessment.results import Assessment, TaxRules, Term
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.currencies import TaxCurrency
from services.decision.domain.tax.events import Row, TaxEvent
from services.decision.domain.tax.laws import Law, LawBook
from services.decision.domain.tax.lot_names import lots_told_apart
from services.decision.domain.tax.redeeming import redeemed
from services.kernel.ids import AccountId, InstrumentId
from services.kernel.money import Money


@dataclass(frozen=True, slots=True)
class BookedTrade:
    """An allocation as it was booked.

    Attributes:
        lot_ids: The lot that a buy made, or those that a sale took, in order.
        uncovered: Units sold that the account did not have: they are no disposal of the ledger's.
        contained: The account's snapshot had it already.
        settlement_date: When units and money change hands; None is the trade date.
    """

    position: int
    account_id: AccountId
    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    value: Decimal
    fees: Decimal
    trade_date: date
    lot_ids: tuple[LotId, ...] = ()
    uncovered: Decimal = ZERO
    contained: bool = False
    settlement_date: date | None = None

    def day(self, *, settled: bool) -> date:
        """Return the day on which it counts: when it settles, or when it is traded."""
        return self.settlement_date or self.trade_date if settled else self.trade_date


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """An account of the ledger.

    Attributes:
        account: As it is now.
        opening: As its snapshot had it, with its lots.
        complete_until: Day up to which its whole history is on record; None when it is not.
        trades: Everything booked to it, by position.
    """

    account: AccountBook
    owner: Owner
    opening: AccountBook
    complete_until: date | None = None
    trades: tuple[BookedTrade, ...] = ()

    @property
    def account_id(self) -> str:
        """Its id."""
        return self.account.account_id

    def counts(self, day: date) -> bool:
        """Return whether an event of `day` is to be added to what the account begins as."""
        return self.complete_until is not None or day > self.opening.as_of_time.date()


def ledger_history(
    accounts: Sequence[LedgerAccount],
    events: Sequence[TaxEvent],
    identical: Mapping[str, str],
    identical_from: tuple[tuple[date, Mapping[str, str]], ...] = (),
    *,
    settled: bool = False,
    exchange: TaxCurrency | None = None,
) -> History:
    """Return the history of the accounts.

    Args:
        accounts: Each once.
        events: On record and not withdrawn: of these accounts, and of every asset.
        identical: By instrument, the set of identical instruments that it is in.
        identical_from: Further sets, each from its day on until the next, by day.
        settled: What was booked counts on the day on which it settled, as the law's `by_settlement` says.
        exchange: Turns amounts into the tax currency; None where every account is kept in it.

    Raises:
        PaidInAnotherCurrency: A merger or redemption paid money, and not in the accounts' currency.
        CurrencyWithoutRate: The rate of a day is not known.
    """
    known = {each.account_id: each for each in accounts}
    rows = _Rows(exchange)
    for each in accounts:
        begin = () if each.complete_until is not None else _opening_lots(each.opening)
        for row in (*begin, *_trades(each, settled=settled)):
            rows.add(row)
    redemptions: dict[str, TaxEvent] = {}
    for event in events:
        account = known.get(event.account_id or "")
        if isinstance(event.row, Redemption):
            redemptions[event.event_id] = event
        elif event.account_id is None or (account is not None and account.counts(event.row.day)):
            rows.add(event.row, event.sent_amount)
    assets = {each.asset for each in rows.acquisitions}
    assets |= {each.asset for each in rows.disposals} | {each.asset for each in rows.receipts}
    currency = exchange.currency if exchange else accounts[0].account.currency if accounts else ""
    # What a merger paid matters to those who had some of it.
    rows.reorganizations = _concerned(rows.reorganizations, assets)
    paid = {(each.row.asset, each.row.day): each for each in events if each.paid}
    for index, row in enumerate(rows.reorganizations):
        if (row.asset, row.day) in paid:
            said = paid[row.asset, row.day].row_in(currency)
            rows.reorganizations[index] = said if isinstance(said, Reorganization) else row
    history = History(
        accounts=tuple(
            TaxAccount(each.account_id, each.owner, each.account.tax_wrapper is not TaxWrapper.TAXABLE)
            for each in accounts
        ),
        acquisitions=tuple(rows.acquisitions),
        disposals=tuple(rows.disposals),
        splits=tuple(rows.splits),
        cost_changes=tuple(rows.cost_changes),
        reorganizations=tuple(rows.reorganizations),
        transfers=tuple(rows.transfers),
        identical=identical,
        dividends=tuple(rows.dividends),
        gifts=tuple(rows.gifts),
        receipts=tuple(rows.receipts),
        identical_from=identical_from,
    )
    taken = {name: each.row_in(currency) for name, each in redemptions.items() if each.row.asset in history.assets}
    return redeemed(lots_told_apart(history), {name: row for name, row in taken.items() if isinstance(row, Redemption)})


@dataclass(slots=True)
class _Rows:
    exchange: TaxCurrency | None
    acquisitions: list[Acquisition] = field(default_factory=list)
    disposals: list[Disposal] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    cost_changes: list[CostChange] = field(default_factory=list)
    reorganizations: list[Reorganization] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    dividends: list[Dividend] = field(default_factory=list)
    gifts: list[Gift] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    def add(self, row: Row, sent: Money | None = None) -> None:
        """Put a row where it belongs; `sent` is its amount as it was sent, where in another currency."""
        row = row if self.exchange is None else self.exchange.row(row, sent)
        match row:
            case Acquisition():
                self.acquisitions.append(row)
            case Disposal():
                self.disposals.append(row)
            case Split():
                self.splits.append(row)
            case CostChange():
                self.cost_changes.append(row)
            case Reorganization():
                self.reorganizations.append(row)
            case Transfer():
                self.transfers.append(row)
            case Dividend():
                self.dividends.append(row)
            case Gift():
                self.gifts.append(row)
            case Receipt():
                self.receipts.append(row)


def _opening_lots(opening: AccountBook) -> Iterator[Acquisition]:
    as_of = opening.as_of_time.date()
    for position in opening.positions:
        said = opening.account_id, position.instrument_id
        for lot in position.lots:
            yield Acquisition(lot.lot_id, lot.acquired_date, *said, lot.quantity, lot.basis_total, as_of=as_of)
        if not position.lots:
            lot_id = f"{opening.account_id}:{position.instrument_id}:{position.holding.value}:cost-unknown"
            yield Acquisition(lot_id, as_of, *said, position.quantity, ZERO, cost_known=False, as_of=as_of)


def _trades(ledger: LedgerAccount, *, settled: bool) -> Iterator[Acquisition | Disposal]:
    for trade in ledger.trades:
        if ledger.complete_until is not None:
            if trade.day(settled=settled) <= ledger.complete_until:
                continue
        elif trade.contained or trade.position <= ledger.account.opening_position:
            continue
        units = trade.quantity - trade.uncovered
        said = trade.day(settled=settled), trade.account_id, trade.instrument_id, units
        if trade.side is Side.BUY:
            lot_id = trade.lot_ids[0] if trade.lot_ids else f"booking:{trade.position}"
            yield Acquisition(lot_id, *said, trade.value + trade.fees)
        elif units:
            proceeds = part(trade.value - trade.fees, Fraction(units), Fraction(trade.quantity))
            yield Disposal(f"booking:{trade.position}", *said, max(proceeds, ZERO), trade.lot_ids)


def known_until(accounts: Sequence[LedgerAccount], today: date, *, settled: bool) -> date:
    """Return the last day that can have happened: what was traded until today may settle later."""
    made = (trade for each in accounts for trade in each.trades if trade.trade_date <= today)
    return max([today, *(trade.day(settled=settled) for trade in made)])


def _concerned(rows: Sequence[Reorganization], assets: set[str]) -> list[Reorganization]:
    """Return those of assets that were ever had: of others, nothing can become of anything."""
    had = set(assets)
    found: list[Reorganization] = []
    for row in sorted(rows, key=lambda each: (each.day, each.asset)):
        if row.asset in had:
            had.add(row.new_asset)
            found.append(row)
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands in a tax year by the ledger.

    Attributes:
        day: Until which it is known; in the year.
        short_gain: Net short-term gain of the year so far, without what wash sales disallow.
        long_gain: The same of long-term gain; where the law knows no terms, all of it.
        share_gain: What of both is on shares, where the law keeps them apart.
        carried_short: The account's part of its taxpayer's unused losses of earlier years, 0 or more: of short-term
            losses, or of those on shares; where the law knows neither, of all.
        carried_long: The same of all other losses.
    """

    account_id: AccountId
    tax_year: int
    day: date
    short_gain: Decimal
    long_gain: Decimal
    share_gain: Decimal
    carried_short: Decimal
    carried_long: Decimal


def standings(
    accounts: Sequence[LedgerAccount],
    history: History,
    law: Law,
    book: LawBook,
    today: date,
    kinds: Mapping[str, AssetKind] | None = None,
    fund_years: Sequence[FundYear] = (),
) -> tuple[Standing, ...]:
    """Return where each taxed account of one taxpayer stands; unused losses are shared evenly among them, to the cent.

    So that no loss counts twice: each account is planned by itself.

    Args:
        accounts: Of the taxpayer.
        history: Of the accounts.
        law: By which they are taxed.
        book: The amounts in force.
        today: The year so far is until then, with what was traded until then and settles later; what is on record
            of later days is not known yet.
        kinds: What assets are to the law; one that is missing is `OTHER`.
        fund_years: Of funds, for Germany's advance lump sums.

    Raises:
        TaxYearUnknown: There are no rules for the year.
        SoldMoreThanHeld: The history sells what it never bought.
    """
    taxed = [each for each in accounts if not history.account[each.account_id].sheltered]
    year = law.planning.tax_year(today)
    in_force = book.under(law.assessing).with_kinds(kinds or {}).with_fund_years(fund_years)
    history = in_force.settled(history).until(known_until(accounts, today, settled=law.by_settlement))
    rules, assessment = in_force.carried_and_assessed(history, year)
    lines = [line.amount for line in rules.brought_forward()]
    short, long = (lines[0], lines[1]) if law.planning.terms or law.planning.pots else (total(lines), ZERO)
    owners = {row.disposal_id: row.account_id for row in history.disposals}
    gains: dict[tuple[str, bool], Decimal] = {}
    on_shares: dict[str, Decimal] = {}
    for disposal in assessment.of_year():
        for name in disposal.disposal_ids[:1]:
            for piece in disposal.pieces:
                key = owners[name], piece.term is Term.SHORT
                gains[key] = total((gains.get(key, ZERO), piece.counted_gain))
            if rules.on_shares(disposal):
                owner = owners[name]
                on_shares[owner] = total((on_shares.get(owner, ZERO), disposal.counted_gain))
    found: list[Standing] = []
    for number, each in enumerate(sorted(taxed, key=lambda one: one.account_id)):
        left = Fraction(len(taxed) - number)
        shares = part(short, Fraction(1), left), part(long, Fraction(1), left)
        short, long = total((short, shares[0].copy_negate())), total((long, shares[1].copy_negate()))
        net_short, net_long = (gains.get((each.account_id, is_short), ZERO) for is_short in (True, False))
        found.append(
            Standing(
                account_id=AccountId(each.account_id),
                tax_year=year,
                day=today,
                short_gain=net_short,
                long_gain=net_long,
                share_gain=on_shares.get(each.account_id, ZERO),
                carried_short=shares[0],
                carried_long=shares[1],
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class PendingPurchase:
    """An order to buy that is on its way, or of a plan that waits to be approved: units not filled yet."""

    account_id: AccountId
    instrument_id: InstrumentId
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class PendingEffect:
    """What would change if one pending purchase were filled today: losses that would not count then, 0 or more."""

    purchase: PendingPurchase
    disallowed_loss: Decimal


def pending_effects(
    rules: TaxRules, history: History, tax_year: int, today: date, purchases: Sequence[PendingPurchase]
) -> tuple[PendingEffect, ...]:
    """Return what each of the purchases by itself would deny, were it filled today. Its price does not matter."""
    effects: list[PendingEffect] = []
    before = _disallowed(rules.assess(history, tax_year)) if purchases else ZERO
    for each in purchases:
        bought = Acquisition("pending:", today, each.account_id, each.instrument_id, each.quantity, ZERO)
        filled = replace(history, acquisitions=(*history.acquisitions, bought))
        after = _disallowed(rules.assess(filled, tax_year))
        effects.append(PendingEffect(each, total((after, before.copy_negate()))))
    return tuple(effects)


def _disallowed(assessment: Assessment) -> Decimal:
    return total(piece.disallowed_loss for each in assessment.disposals for piece in each.pieces)
