"""Messages of the book ↔ values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evenkeel.common.v1 import columns_pb2, values_pb2
from evenkeel.decision.v1 import book_service_pb2 as pb
from services.decision.api.asset_kinds import ASSET_KINDS
from services.decision.app.book import AccountView
from services.decision.domain.asset_kinds import FUNDS, kind_by_classification
from services.decision.domain.book import (
    AccountBook,
    BookColumns,
    Break,
    Position,
    Reconciliation,
    Snapshot,
    SnapshotHeader,
)
from services.decision.domain.columns import Numbers
from services.decision.domain.fund_years import FundYear
from services.decision.domain.identification import Identification
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import ZERO
from services.kernel.decimals import plain
from services.kernel.errors import Invalid
from services.kernel.ids import InstrumentId
from services.kernel.money import Money
from services.runtime.wire import (
    date_message,
    decimal_message,
    decimal_of,
    instant_message,
    instant_of,
    money_message,
    words_of,
)

# An answer shows this many breaks, and counts all.
BREAKS_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a book as they came, read anew at each use: columns take many times the room of their bytes."""

    received: Sequence[bytes]

    def __iter__(self) -> Iterator[BookColumns]:
        """Yield each part.

        Raises:
            Invalid: A column of words names one that it does not have.
        """
        for body in self.received:
            yield columns_of(pb.BookPart.FromString(body))


def header_of(message: pb.SnapshotHeader) -> SnapshotHeader:
    """Return the header that `message` says.

    Raises:
        Invalid: The instant is missing, an increment is none, or an ISIN has another check digit.
    """
    field = "header.provenance.as_of_time"
    if not message.provenance.HasField("as_of_time"):
        raise Invalid.of(field, "must be given")
    return SnapshotHeader(
        source=message.provenance.source,
        as_of_time=instant_of(message.provenance.as_of_time, field),
        instruments=[_instrument(each, f"header.instruments[{row}]") for row, each in enumerate(message.instruments)],
        identifications={
            InstrumentId(each.instrument_id): said
            for row, each in enumerate(message.instruments)
            if (said := _identification(each, f"header.instruments[{row}]"))
        },
    )


def columns_of(part: pb.BookPart) -> BookColumns:
    """Return the columns of `part`."""
    return BookColumns(
        account_ids=list(part.account_ids),
        household_ids=words_of(part.household_ids, "part.household_ids"),
        custodians=words_of(part.custodians, "part.custodians"),
        currencies=words_of(part.currencies, "part.currencies"),
        tax_wrappers=words_of(part.tax_wrappers, "part.tax_wrappers"),
        cash=numbers_of(part.cash),
        reserved_cash=numbers_of(part.reserved_cash),
        short_term_gains=numbers_of(part.short_term_gains),
        long_term_gains=numbers_of(part.long_term_gains),
        share_gains=numbers_of(part.share_gains)
        if part.HasField("share_gains")
        else Numbers([0] * len(part.account_ids), 0),
        position_accounts=list(part.position_accounts),
        position_instruments=words_of(part.position_instruments, "part.position_instruments"),
        position_quantities=numbers_of(part.position_quantities),
        position_holdings=words_of(part.position_holdings, "part.position_holdings"),
        lot_positions=list(part.lot_positions),
        lot_ids=list(part.lot_ids),
        lot_acquired_dates=list(part.lot_acquired_dates.days),
        lot_quantities=numbers_of(part.lot_quantities),
        lot_bases=numbers_of(part.lot_bases),
    )


def numbers_of(column: columns_pb2.DecimalColumn) -> Numbers:
    """Return the numbers of `column`."""
    return Numbers(list(column.units), column.scale)


def snapshot_message(snapshot: Snapshot) -> pb.Snapshot:
    """Return the message that says `snapshot`."""
    return pb.Snapshot(
        snapshot_id=snapshot.snapshot_id,
        provenance=values_pb2.Provenance(
            source=snapshot.source,
            as_of_time=instant_message(snapshot.as_of_time),
            content_hash=snapshot.content_hash,
        ),
        account_count=snapshot.account_count,
        position_count=snapshot.position_count,
        lot_count=snapshot.lot_count,
        record_time=instant_message(snapshot.record_time),
    )


def account_message(view: AccountView, *, lots: bool) -> pb.Account:
    """Return the message that says an account; its lots only when `lots`."""
    account, valuation, currency = view.account, view.valuation, view.account.currency
    message = pb.Account(
        account_id=account.account_id,
        household_id=account.household_id or "",
        custodian=account.custodian,
        cash=money_message(Money(account.cash, currency)),
        reserved_cash=money_message(Money(account.reserved_cash, currency)),
        tax_wrapper=values_pb2.TaxWrapper.Value(f"TAX_WRAPPER_{account.tax_wrapper}"),
        snapshot_id=account.snapshot_id,
        booked_position=account.booked_position,
        short_term_gain=money_message(Money(view.gains[0], currency)),
        long_term_gain=money_message(Money(view.gains[1], currency)),
    )
    if valuation.value is not None:
        message.value.CopyFrom(money_message(Money(valuation.value, currency)))
    if valuation.drift is not None:
        message.drift.CopyFrom(decimal_message(valuation.drift))
    for row, position in enumerate(account.positions):
        shown = message.positions.add()
        shown.CopyFrom(_position(position, account, lots=lots))
        price = valuation.prices.get(position.instrument_id)
        if price is not None:
            shown.price.CopyFrom(money_message(Money(price, currency)))
        if valuation.weights:
            shown.weight.CopyFrom(decimal_message(valuation.weights[row]))
        target = None if view.targets is None else view.targets.get(position.instrument_id)
        if target is not None:
            shown.target_weight.CopyFrom(decimal_message(target))
    return message


def reconciliation_message(found: Reconciliation) -> pb.GetReconciliationResponse:
    """Return the message that says what was compared and what differs."""
    return pb.GetReconciliationResponse(
        account_count=found.account_count,
        allocation_count=found.allocation_count,
        breaks=[_break(each) for each in found.breaks[:BREAKS_SHOWN_MAX]],
        break_count=len(found.breaks),
        cash_before=[money_message(Money(amount, code)) for code, amount in sorted(found.cash_before.items())],
        cash_after=[money_message(Money(amount, code)) for code, amount in sorted(found.cash_after.items())],
    )


def _instrument(message: pb.Instrument, path: str) -> Instrument:
    field = f"{path}.quantity_increment"
    kind = ASSET_KINDS[message.asset_kind] if message.asset_kind else kind_by_classification(message.cfi)
    if message.fund_years and kind not in FUNDS:
        raise Invalid.of(f"{path}.fund_years", f"must be empty for what is no fund, was of {kind}")
    try:
        return Instrument(
            instrument_id=InstrumentId(message.instrument_id),
            currency=message.currency,
            quantity_increment=decimal_of(message.quantity_increment, field),
            asset_class=message.asset_class,
            issuer=message.issuer,
            identity_set=message.identity_set,
            tradable=message.tradable,
            asset_kind=kind,
            fund_years=_fund_years(message, path),
        )
    except ValueError as error:
        raise Invalid.of(field, str(error)) from error


def _fund_years(message: pb.Instrument, path: str) -> tuple[FundYear, ...]:
    years: dict[int, FundYear] = {}
    for row, each in enumerate(message.fund_years):
        field = f"{path}.fund_years[{row}]"
        if each.year in years:
            raise Invalid.of(f"{field}.year", f"must be there once, was {each.year} again")
        first = decimal_of(each.first_price, f"{field}.first_price")
        last = decimal_of(each.last_price, f"{field}.last_price")
        distributed = decimal_of(each.distributed, f"{field}.distributed") if each.HasField("distributed") else ZERO
        if first <= 0:
            raise Invalid.of(f"{field}.first_price", f"must be above 0, was {plain(first)}")
        for name, value in (("last_price", last), ("distributed", distributed)):
            if value < 0:
                raise Invalid.of(f"{field}.{name}", f"must be 0 or more, was {plain(value)}")
        years[each.year] = FundYear(message.instrument_id, each.year, first, last, distributed)
    return tuple(years[year] for year in sorted(years))


def _identification(message: pb.Instrument, field: str) -> Identification:
    try:
        return Identification(message.isin, message.cfi, message.full_name)
    except ValueError as error:
        name, _, description = str(error).partition(" ")
        raise Invalid.of(f"{field}.{name}", description) from error


def _position(position: Position, account: AccountBook, *, lots: bool) -> pb.Position:
    return pb.Position(
        instrument_id=position.instrument_id,
        quantity=decimal_message(position.quantity),
        holding=pb.Holding.Value(f"HOLDING_{position.holding}"),
        lots=[
            pb.Lot(
                lot_id=lot.lot_id,
                acquired_date=date_message(lot.acquired_date),
                quantity=decimal_message(lot.quantity),
                basis=money_message(Money(lot.basis_total, account.currency)),
            )
            for lot in (position.lots if lots else ())
        ],
    )


def _break(found: Break) -> pb.Break:
    return pb.Break(
        account_id=found.account_id,
        instrument_id=found.instrument_id or "",
        booked=decimal_message(found.booked),
        expected=decimal_message(found.expected),
        reason=found.reason,
    )
