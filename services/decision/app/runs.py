"""Starts, shows, watches and cancels runs.

Starting only writes down what is to be done; the stages (`pinning`, `deciding`, `submitting`, `following`) go on from
the rows, in this process or any other.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.decision.app.book import AccountNotFound
from services.decision.app.changes import Changes
from services.decision.app.events import plan_moved, run_event
from services.decision.app.ports.books import Books
from services.decision.app.ports.sessions import Begin, Read, Session
from services.decision.app.prices import PriceSetNotFound
from services.decision.domain.freshness import PricesStale
from services.decision.domain.prices import PriceSetId
from services.decision.domain.run import Run, RunNotFound, RunProgress, RunState
from services.kernel.canonical import rfc3339
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import AccountId, RunId, derived_id

# Accounts whose ids are read at once.
ACCOUNT_PAGE = 10_000
# Unknown accounts named in an error.
MISSING_SHOWN_MAX = 20
# A watched run is looked at again after this long even if nobody here said that it changed: another replica may have.
WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class RunWish:
    """What a caller wants rebalanced: all accounts when `account_ids` is empty, the newest prices when None.

    `event` is what happened that asks for it; empty for nothing.
    """

    account_ids: Sequence[AccountId]
    price_set_id: PriceSetId | None = None
    as_of_time: datetime | None = None
    dry_run: bool = False
    event: str = ""


@dataclass(frozen=True, slots=True)
class RunApp:
    """The use cases of runs.

    Attributes:
        begin: Opens a transaction.
        clock: Tells when things are recorded.
        market_clock: Tells the business instant.
        changes: Wakes those who watch.
        engine: Name and version of what computes.
        currency: Of every account that is decided.
        shard_size: Accounts decided together.
    """

    begin: Begin
    read: Read
    clock: Clock
    market_clock: Clock
    changes: Changes
    engine: str
    currency: str
    shard_size: int

    async def start_run(self, wish: RunWish, *, actor: str, request_id: str, trace_parent: str | None) -> RunProgress:
        """Start a run.

        Args:
            wish: What to rebalance.
            actor: Who asks.
            request_id: The caller's key; the run's id is derived from it.
            trace_parent: The trace that everything the run does continues.

        Raises:
            Invalid: An account is named twice, or the instant lies in the future.
            AccountNotFound: An account is not in the book.
            PriceSetNotFound: There are no such prices, or no price history.
            PricesStale: The prices are from after the instant decided for.
        """
        market_time = self.market_clock.now()
        as_of_time = wish.as_of_time or market_time
        _check(wish, as_of_time, market_time)
        async with self.begin() as session:
            prices = await session.prices.price_set(wish.price_set_id)
            if prices is None:
                named = f"price set {wish.price_set_id}" if wish.price_set_id else "a price set"
                raise PriceSetNotFound(f"{named} does not exist", price_set_id=wish.price_set_id or "")
            if prices.as_of_time > as_of_time:
                raise PricesStale(
                    f"prices must be of {rfc3339(as_of_time)} or before, were of {rfc3339(prices.as_of_time)}",
                    price_set_id=prices.price_set_id,
                )
            history = await session.prices.history(None)
            if history is None:
                raise PriceSetNotFound("a price history does not exist; risk cannot be estimated")
            account_ids = await _accounts(session.books, wish.account_ids)
            run = Run(
                run_id=RunId(derived_id("run", actor, request_id)),
                state=RunState.DECIDING,
                actor=actor,
                start_time=self.clock.now(),
                as_of_time=as_of_time,
                snapshot_id=await session.runs.newest_snapshot_id(),
                price_set_id=prices.price_set_id,
                price_history_id=history.price_history_id,
                engine=self.engine,
                currency=self.currency,
                dry_run=wish.dry_run,
                event=wish.event,
                account_count=len(account_ids),
                trace_parent=trace_parent,
            )
            await session.runs.add(run, account_ids, self.shard_size)
            await session.emit([run_event("started", run, {"account_count": run.account_count})])
        self.changes.tell()
        return RunProgress(run)

    async def cancel_run(self, run_id: RunId) -> RunProgress:
        """Cancel a run and withdraw its plans that are not being submitted. A final run stays as it is.

        Raises:
            RunNotFound: No run has `run_id`.
        """
        at = self.clock.now()
        async with self.begin() as session:
            run = await session.runs.lock(run_id)
            if run is None:
                raise _not_found(run_id)
            if not run.final:
                await session.runs.move(run.canceled(at), was=run.state)
                withdrawn = await session.plans.withdraw_unsent(run_id, at)
                events = [run_event("canceled", run, {"withdrawn_count": len(withdrawn)})]
                await session.emit(events + [plan_moved(plan) for plan in withdrawn])
            progress = await _progress(session, run_id)
        self.changes.tell()
        return progress

    async def get_run(self, run_id: RunId) -> RunProgress:
        """Return a run.

        Raises:
            RunNotFound: No run has `run_id`.
        """
        async with self.read() as session:
            return await _progress(session, run_id)

    async def list_runs(self, before: int | None, limit: int) -> Sequence[tuple[int, RunProgress]]:
        """Return runs with their number, newest first, those before number `before`."""
        async with self.read() as session:
            return await session.runs.newest(before, limit)

    async def watch_run(self, run_id: RunId) -> AsyncIterator[RunProgress]:
        """Yield a run each time it changed, until it is final.

        Raises:
            RunNotFound: No run has `run_id`.
        """
        shown: RunProgress | None = None
        while True:
            progress = await self.get_run(run_id)
            if progress != shown:
                yield progress
                shown = progress
            if progress.run.final:
                return
            await self.changes.wait(WATCH_S)


def _check(wish: RunWish, as_of_time: datetime, market_time: datetime) -> None:
    found = Violations()
    if as_of_time > market_time:
        found.add(
            "as_of_time", f"must be at most {rfc3339(market_time)}, the market's present, was {rfc3339(as_of_time)}"
        )
    seen: set[AccountId] = set()
    for row, account_id in enumerate(wish.account_ids):
        if account_id in seen:
            found.add(f"account_ids[{row}]", f"must be named once, was {account_id} again")
        seen.add(account_id)
    found.raise_if_any()


async def _accounts(books: Books, wanted: Sequence[AccountId]) -> Sequence[AccountId]:
    if wanted:
        missing = await books.account_ids_missing(wanted)
        if missing:
            shown = ", ".join(missing[:MISSING_SHOWN_MAX])
            raise AccountNotFound(f"accounts are not in the book: {shown}", account_count=len(missing))
        return sorted(wanted)
    found: list[AccountId] = []
    page: Sequence[AccountId] = await books.account_ids(None, ACCOUNT_PAGE)
    while page:
        found += page
        page = await books.account_ids(page[-1], ACCOUNT_PAGE)
    if not found:
        description = "must name an account, because the book has none yet"
        raise Invalid.of("account_ids", description)
    return found


async def _progress(session: Session, run_id: RunId) -> RunProgress:
    progress = await session.runs.progress(run_id)
    if progress is None:
        raise _not_found(run_id)
    return progress


def _not_found(run_id: RunId) -> RunNotFound:
    return RunNotFound(f"run {run_id} does not exist", run_id=run_id)
