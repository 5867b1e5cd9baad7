"""Compares our record with venues' and custodians', and keeps what differs until it is gone or a person settles it.

Breaks are found again and again, and a break is one row however often it is seen. What is open stops new orders for
what it touches, an account in an instrument or its cash, and nothing else.

A difference with a custodian does not go because a day passes. What an account should have is what it should have had
before, what was traded since, and what the custodian says moved otherwise, not what the custodian said last, as long as
nobody has settled that that is right. A trade that differs is compared again only where the custodian speaks of its day
again, or of what was missing; movements explain none.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from services.execution.app.break_events import (
    break_assigned,
    break_found,
    break_gone,
    break_resolved,
    custodian_ingested,
    custodian_moved,
)
from services.execution.app.ledger_breaks import BreakLedger
from services.execution.app.ports import Begin
from services.execution.app.records import AllocationRecord, Break, Party, VenueBreak
from services.execution.app.venue_breaks import MISSING_ROW, venue_breaks
from services.execution.app.venue_port import VenuePort
from services.execution.domain.custody import (
    BreakKind,
    Difference,
    Holdings,
    Spoken,
    Trade,
    compare_holdings,
    compare_trades,
)
from services.execution.domain.errors import BreakNotFound, BreakResolved, StatementOutdated
from services.execution.domain.exchanges import Exchange
from services.execution.domain.movements import CustodianMovement, Delta, News, Taken, news
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, derived_id

# Breaks written at once.
BREAKS_AT_ONCE = 500
ONE_DAY = timedelta(days=1)
# Of breaks with a custodian: what each statement of the account speaks of.
HELD = frozenset({BreakKind.POSITION, BreakKind.CASH})


@dataclass(frozen=True, slots=True)
class CustodianStatement:
    """What a custodian says of accounts at the end of a day, whole accounts at a time.

    `trades` are those with a trade date of `day`, or told late with an earlier one. `movements` are whatever else
    moved, of any day up to `day`. All money of an account is in the currency that `currencies` names for it.
    """

    custodian: str
    day: date
    accounts: Mapping[AccountId, Holdings]
    trades: Sequence[Trade]
    currencies: Mapping[AccountId, str]
    movements: Sequence[CustodianMovement] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """What a statement was found to be: `breaks` are open or settled differences of its accounts after it.

    `first` are accounts that the custodian never spoke of: what it says of them is there to compare the next with.
    `moved` are movements that it had not told before, or otherwise.
    """

    breaks: int
    first: int
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Reconciling:
    """The use cases of reconciliation."""

    begin: Begin
    venue: VenuePort
    clock: Clock
    market_clock: Clock
    exchange: Exchange

    async def reconcile_venue(self) -> int:
        """Compare our record with the venue's, and return how many breaks there are.

        Raises:
            VenueUnreachable: The venue does not answer; what is known of breaks stays as it is.
        """
        began, count = self.clock.now(), 0
        pending: list[Break] = []
        async for each in venue_breaks(self.begin, self.venue, self.clock, self.exchange):
            pending.append(_at_venue(self.venue.venue_id, each, began))
            count += 1
            if len(pending) == BREAKS_AT_ONCE:
                await self._see(pending)
                pending = []
        await self._see(pending)
        async with self.begin() as ledger:
            gone = await ledger.unseen_breaks(Party.VENUE, self.venue.venue_id, began, None)
            await ledger.emit(*map(break_gone, gone))
        return count

    async def ingest(self, statement: CustodianStatement) -> Compared:
        """Compare a custodian's statement with ours and what it said before. Safe to repeat.

        Raises:
            Invalid: It is of a day to come, or in another currency than the account trades in.
            StatementOutdated: The custodian spoke of a later day about one of the accounts already.
        """
        self._check_day(statement.day)
        now = self.clock.now()
        accounts = statement.accounts.keys()
        async with self.begin() as ledger:
            before = await ledger.custodian_accounts(statement.custodian, accounts)
            _check_order(statement, before)
            still_open = await ledger.open_breaks(Party.CUSTODIAN, statement.custodian, accounts)
            missing = {_missed(each) for each in still_open if each.kind == BreakKind.MISSING_TRADE}
            # All that was traded since the custodian spoke last, on the day itself, and what it lacked so far.
            days = [statement.day, *(day for *_, day in missing if day is not None)]
            since = min([min(days) - ONE_DAY, *(each.day for each in before.values())])
            given = await ledger.traded(statement.custodian, accounts, since, statement.day)
            _check_currencies(statement, given)
            ours = _trades(given)
            found = list(
                compare_trades(
                    [each for each in ours if each.trade_date == statement.day or _missed(each) in missing],
                    statement.trades,
                )
            )
            moved = await _news(ledger, statement, before)
            found += _holdings(statement, before, still_open, ours, moved)
            await ledger.put_custodian_accounts(statement.custodian, statement.day, statement.accounts)
            await ledger.put_movements(statement.custodian, [each.movement for each in moved])
            breaks = {each.break_id: each for each in (_at_custodian(statement.custodian, each, now) for each in found)}
            breaks |= {
                each.break_id: replace(each, see_time=now)
                for each in still_open
                if each.break_id not in breaks and not _compared(each, statement.day)
            }
            await ledger.emit(
                custodian_ingested(statement.custodian, statement.day, len(statement.accounts), len(moved)),
                *(_moved(statement, each) for each in moved),
            )
            await ledger.emit(*map(break_found, await ledger.see_breaks(list(breaks.values()))))
            gone = await ledger.unseen_breaks(Party.CUSTODIAN, statement.custodian, now, accounts)
            await ledger.emit(*map(break_gone, gone))
        return Compared(len(breaks), first=len(accounts - before.keys()), moved=len(moved))

    def _check_day(self, day: date) -> None:
        today = self.exchange.date_at(self.market_clock.now())
        wrong = Violations()
        if day > today:
            wrong.add("day", f"must be at most {today}, was {day}")
        wrong.raise_if_any(Invalid)

    async def list_breaks(self, *, resolved: bool, owner: str, after: str, limit: int) -> list[Break]:
        """Return breaks after an id, by id: open ones, or all; of an owner, or of anybody when empty."""
        async with self.begin() as ledger:
            return await ledger.breaks(resolved=resolved, owner=owner, after=after, limit=limit)

    async def assign(self, break_id: str, owner: str, by: str) -> Break:
        """Say who looks after a break.

        Raises:
            BreakNotFound: No break has this id.
            BreakResolved: It is resolved.
        """
        async with self.begin() as ledger:
            found = _open(await ledger.break_(break_id), break_id)
            owned = replace(found, owner=owner)
            await ledger.save_break(owned)
            await ledger.emit(break_assigned(owned, by))
        return owned

    async def resolve(self, break_id: str, by: str, note: str) -> Break:
        """Say that a break is settled: it stops nothing any more, unless it changes.

        Of positions and cash, what the custodian has counts from then on; what moved before is in it, told or not.

        Raises:
            BreakNotFound: No break has this id.
            BreakResolved: It is resolved.
        """
        async with self.begin() as ledger:
            found = _open(await ledger.break_(break_id), break_id)
            settled = replace(found, resolve_time=self.clock.now(), resolver=by, note=note)
            if found.kind in HELD and found.account_id is not None:
                said = await ledger.custodian_accounts(found.source, [found.account_id])
                settled = replace(settled, settle_day=said[found.account_id].day)
            await ledger.save_break(settled)
            await ledger.emit(break_resolved(settled))
        return settled

    async def _see(self, breaks: Sequence[Break]) -> None:
        if breaks:
            async with self.begin() as ledger:
                await ledger.emit(*map(break_found, await ledger.see_breaks(breaks)))


async def _news(ledger: BreakLedger, statement: CustodianStatement, before: Mapping[AccountId, Spoken]) -> list[News]:
    """Return what of a statement's movements is new."""
    if not statement.movements:
        return []
    accounts = {each.account_id for each in statement.movements}
    since = min(each.day for each in statement.movements)
    known = await ledger.movements(statement.custodian, accounts, since)
    settled = await ledger.settled_holdings(statement.custodian, accounts)
    taken = {name: Taken(said.first_day, settled.get(name, {})) for name, said in before.items()}
    return news(statement.movements, known, taken)


def _moved(statement: CustodianStatement, each: News) -> Event:
    currency = statement.currencies[each.movement.account_id]
    return custodian_moved(statement.custodian, statement.day, currency, each)


def _holdings(
    statement: CustodianStatement,
    before: Mapping[AccountId, Spoken],
    still_open: Sequence[Break],
    ours: Sequence[Trade],
    moved: Sequence[News],
) -> Iterator[Difference]:
    """Yield how accounts' positions and cash differ from what they should be."""
    trades: dict[AccountId, list[Trade]] = defaultdict(list)
    for trade in ours:
        said = before.get(trade.account_id)
        if said is not None and trade.trade_date > said.day and not trade.busted:
            trades[trade.account_id].append(trade)
    changes: dict[AccountId, list[Delta]] = defaultdict(list)
    for each in moved:
        changes[each.movement.account_id] += each.changes
    breaks: dict[AccountId | None, list[Break]] = defaultdict(list)
    for found in still_open:
        breaks[found.account_id].append(found)
    for name in sorted(before):
        expected = _expected(before[name].holdings, breaks[name])
        yield from compare_holdings(name, expected, trades[name], changes[name], statement.accounts[name])


def _check_order(statement: CustodianStatement, before: Mapping[AccountId, Spoken]) -> None:
    late = sorted(name for name, said in before.items() if said.day > statement.day)
    if late:
        message = f"{statement.custodian} spoke of a day after {statement.day} already of {', '.join(late[:20])}"
        raise StatementOutdated(message, custodian=statement.custodian)


def _check_currencies(statement: CustodianStatement, given: Sequence[AllocationRecord]) -> None:
    wrong = Violations()
    for name, ours in sorted({(each.account_id, each.terms.booked_in) for each in given}):
        if (said := statement.currencies[name]) != ours:
            wrong.add("accounts.cash", f"must be in {ours} for {name}, was in {said}")
    wrong.raise_if_any(Invalid)


def _missed(each: Trade | Break) -> tuple[AccountId | None, InstrumentId | None, date | None]:
    return each.account_id, each.instrument_id, each.trade_date


def _expected(said: Holdings, still_open: Sequence[Break]) -> Holdings:
    """Return what an account should have had when the custodian spoke last: what it said, but where that differs."""
    units = {
        each.instrument_id: Decimal(each.ours)
        for each in still_open
        if each.kind == BreakKind.POSITION and each.instrument_id is not None
    }
    cash = next((Decimal(each.ours) for each in still_open if each.kind == BreakKind.CASH), said.cash)
    return Holdings({**said.positions, **units}, cash)


def _compared(each: Break, day: date) -> bool:
    """Return whether a statement of `day` speaks of what an open break is about, or could: trades may be told late."""
    if each.kind in HELD:
        return True
    return each.trade_date is not None and (each.trade_date == day or each.kind == BreakKind.MISSING_TRADE)


def _open(found: Break | None, break_id: str) -> Break:
    if found is None:
        raise BreakNotFound(f"break {break_id} does not exist", break_id=break_id)
    if found.resolve_time is not None:
        raise BreakResolved(f"break {break_id} was resolved at {found.resolve_time.isoformat()}", break_id=break_id)
    return found


def _at_venue(venue_id: str, each: VenueBreak, now: datetime) -> Break:
    # Of these a block may have several.
    several = each.kind == MISSING_ROW or each.kind.startswith("ALLOCATION_")
    about = f"{each.client_order_id}/{each.ours}" if several else each.client_order_id
    return Break(
        break_id=derived_id("break", Party.VENUE, venue_id, each.kind, about),
        party=Party.VENUE,
        source=venue_id,
        kind=each.kind,
        account_id=None,
        instrument_id=None,
        block_id=each.block_id,
        client_order_id=each.client_order_id,
        ours=each.ours,
        theirs=each.venues,
        find_time=now,
        see_time=now,
    )


def _at_custodian(custodian: str, each: Difference, now: datetime) -> Break:
    name = derived_id(
        "break", Party.CUSTODIAN, custodian, each.kind, each.account_id, each.instrument_id or "", each.about
    )
    return Break(
        break_id=name,
        party=Party.CUSTODIAN,
        source=custodian,
        kind=each.kind,
        account_id=each.account_id,
        instrument_id=each.instrument_id,
        block_id=None,
        client_order_id="",
        ours=each.ours,
        theirs=each.theirs,
        find_time=now,
        see_time=now,
        trade_date=each.trade_date,
    )


def _trades(given: Sequence[AllocationRecord]) -> list[Trade]:
    busted = {each.replaces for each in given if each.quantity == 0}
    return [
        Trade(
            account_id=each.account_id,
            instrument_id=each.terms.instrument_id,
            side=each.terms.side,
            trade_date=each.trade_date,
            settlement_date=each.settlement_date,
            quantity=each.quantity,
            amount=each.amount,
            fees=each.fees,
            busted=each.allocation_id in busted,
        )
        for each in given
        if each.quantity > 0
    ]
