"""What the use cases of tax need of the outside, and what they answer with."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.decision.app.ports.books import Books
from services.decision.app.ports.books import Ledger as BookLedger
from services.decision.app.prices import Prices
from services.decision.app.tax_laws import TaxLaws
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.account_rows import AccountRows
from services.decision.domain.tax.actions import Compared
from services.decision.domain.tax.assessment.history import (
    History,
    Owner,
)
from services.decision.domain.tax.assessment.results import Assessment, Line, TaxRules
from services.decision.domain.tax.currencies import DayRates, TaxCurrency
from services.decision.domain.tax.differences import Difference
from services.decision.domain.tax.due import Tried
from services.decision.domain.tax.events import RecordedEvent, TaxEvent
from services.decision.domain.tax.giving import GiftWish
from services.decision.domain.tax.ledger import (
    BookedTrade,
    PendingEffect,
    PendingPurchase,
    Standing,
)
from services.decision.domain.tax.projection import Scenario
from services.decision.domain.tax.replacements import Replacement
from services.decision.domain.tax.wrappers import Saver
from services.kernel.errors import Fact
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None for all."""

    account_id: AccountId | None = None
    instrument_id: InstrumentId | None = None


class TaxRecords(Protocol):
    """The events on record."""

    async def get(self, event_ids: Collection[str]) -> Mapping[str, RecordedEvent]:
        """Return those events that are on record."""
        ...

    async def add(self, events: Sequence[TaxEvent], at: datetime) -> None:
        """Keep new events."""
        ...

    async def withdraw(self, event_ids: Collection[str], at: datetime) -> int:
        """Let events count no more, and return how many did until now."""
        ...

    async def complete(self, until: Mapping[AccountId, date]) -> None:
        """Keep up to which day accounts' whole histories are on record."""
        ...

    async def complete_until(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, date]:
        """Return up to which day the whole history of accounts is on record; absent where it is not."""
        ...

    async def counting(self, account_ids: Collection[AccountId]) -> Sequence[TaxEvent]:
        """Return the events that count, of the accounts and of every asset, by day and id."""
        ...

    async def listed(self, which: EventFilter, after: tuple[date, str] | None, limit: int) -> Sequence[RecordedEvent]:
        """Return events by day and id, those after `after`."""
        ...

    async def tried(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, Tried]:
        """Return what is known of accounts whose whole history is on record; absent where it is not."""
        ...

    async def remember(self, tries: Mapping[AccountId, str], day: date) -> None:
        """Keep until which day accounts' ledgers were worked out, or found to be none, and what that depended on."""
        ...

    async def outdate(self, account_ids: Collection[AccountId]) -> None:
        """Keep that the standings of accounts are out of date."""
        ...

    async def outdate_holders(self, instrument_ids: Collection[str]) -> None:
        """Keep that the standings of all who ever had one of the instruments are out of date, with their households."""
        ...

    async def stand(self, standings: Sequence[Standing]) -> None:
        """Let accounts stand where the ledger says."""
        ...

    async def trades(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, Sequence[BookedTrade]]:
        """Return everything booked to the accounts, by position."""
        ...

    async def sale_days(self, account_ids: Collection[AccountId]) -> Mapping[AccountId | None, AbstractSet[date]]:
        """Return the days on which something left each of the accounts; under None those of redemptions, of any asset.

        Only days: of many accounts, what left is much more. Absent where nothing did.
        """
        ...

    async def pending(self, account_ids: Collection[AccountId]) -> Sequence[PendingPurchase]:
        """Return what live plans of the accounts buy and nobody booked yet, by account and instrument."""
        ...


@dataclass(frozen=True, slots=True)
class RowsRead:
    """Accounts as rows, and the days on which something was sold of those that sold anything."""

    rows: AccountRows
    sale_days: Mapping[AccountId, tuple[date, ...]]


class TaxRows(Protocol):
    """The book as year-ends of large books read it: without an object for a lot."""

    async def rows(self, account_ids: Collection[AccountId]) -> RowsRead:
        """Return the accounts that exist, by id; a few queries, however many they are."""
        ...

    async def identical(self) -> Mapping[str, str]:
        """Return the set of identical instruments that each instrument is in, where that is not its own name."""
        ...

    async def happened(self) -> frozenset[str]:
        """Return the instruments to which something happened that is on record and counts."""
        ...


class Emit(Protocol):
    """Tells audit of changes, in this transaction."""

    async def __call__(self, events: Sequence[Event]) -> None:
        """Tell it."""
        ...


@dataclass(frozen=True, slots=True)
class TaxWriting:
    """One database transaction, to write in."""

    books: BookLedger
    records: TaxRecords
    laws: TaxLaws
    emit: Emit


@dataclass(frozen=True, slots=True)
class TaxReading:
    """One database transaction, to read in."""

    books: Books
    records: TaxRecords
    laws: TaxLaws
    prices: Prices
    rows: TaxRows


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a request to keep events did, counted; and of which accounts no ledger can be made yet, with why not."""

    recorded: int
    known: int
    withdrawn: int
    unsettled: tuple[tuple[AccountId, Fact], ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """A taxpayer's ledger of a year.

    Attributes:
        rules: With the losses of earlier years brought forward.
        brought_forward: Those losses.
        differences: Where the ledger's units are not those of the book.
        pending: Orders to buy that are on their way.
        law_version: Of the year; 0 is the release's own.
        exchange: Turns amounts into the law's currency; None where every account is kept in it.
    """

    history: History
    rules: TaxRules
    assessment: Assessment
    brought_forward: tuple[Line, ...]
    differences: tuple[Difference, ...]
    pending: tuple[PendingEffect, ...]
    law_version: int
    exchange: TaxCurrency | None


@dataclass(frozen=True, slots=True)
class Assessed:
    """A year assessed by rules as they are in force; `law_version` 0 is the release's own."""

    rules: TaxRules
    assessment: Assessment
    law_version: int


@dataclass(frozen=True, slots=True)
class Taxpayer:
    """Whose year is assessed: the accounts that matter, and the rules with what is known of the taxpayer.

    Attributes:
        rates: For accounts that are kept in another currency than the law's, by day and currency.
    """

    taxpayer_id: str
    owners: Mapping[AccountId, Owner]
    rules: TaxRules
    rates: DayRates


@dataclass(frozen=True, slots=True)
class TaxYear:
    """A taxpayer's year, and the losses still open: those that would count, and those that would not; 0 or more."""

    ledger: Ledger
    open_loss: Decimal
    denied_loss: Decimal


@dataclass(frozen=True, slots=True)
class Wish:
    """What comparing asks about, besides accounts and taxpayer.

    Attributes:
        gift: What is to be given away; None for nothing.
        saver: Whose wrappers the accounts are; None where nobody asks from which accounts to withdraw.
        paid_in: Of accounts in wrappers: what was paid in from taxed income, and the first tax year of it.
        later_rate: At which what leaves wrappers at the end is taxed; None is as the next income now.
    """

    price_set_id: PriceSetId | None
    scenarios: tuple[Scenario, ...]
    volatility: Decimal
    minimum: Decimal
    withdrawal: Decimal
    tax_limit: Decimal | None = None
    gift: GiftWish | None = None
    saver: Saver | None = None
    paid_in: Mapping[AccountId, tuple[Decimal, int | None]] = field(default_factory=dict)
    later_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a taxpayer of a country could do on a day, and what to hold instead of what is sold."""

    country: str
    today: date
    currency: str
    compared: Compared
    replacements: tuple[Replacement, ...]
