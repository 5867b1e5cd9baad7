"""Is a book one that can be? Checked whole and exactly, before anything of it is kept.

Everything wrong is named at once: field, row, value and limit, and the account it is about, so that its sender can fix
the book and not guess.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from services.decision.domain.book.columns import HOLDINGS, TAX_WRAPPERS, BookColumns, digests
from services.decision.domain.book.snapshot import Snapshot, SnapshotHeader, snapshot_hash, snapshot_id
from services.decision.domain.columns import EPOCH, SCALE_MAX, Numbers, plain_number
from services.decision.domain.instruments import CURRENCIES, ID, ID_RULE, InstrumentUnknown
from services.kernel.errors import Invalid, Violations

# Before it, no lot that is still held was bought.
ACQUIRED_DATE_MIN = date(1900, 1, 1)
# A sender's clock may be this much ahead of ours.
CLOCK_AHEAD_MAX = timedelta(minutes=5)
# Money is kept in hundredths.
CENT_SCALE = 2
# An account is read and written whole.
POSITIONS_PER_ACCOUNT_MAX = 5_000
LOTS_PER_ACCOUNT_MAX = 20_000

Describe = Callable[[int], str]


class BookInvalid(Invalid):
    """The book contradicts itself."""

    reason = "BOOK_INVALID"


class SnapshotCheck:
    """Checks a snapshot part by part, and names it by its content."""

    def __init__(self, header: SnapshotHeader, now: datetime) -> None:
        """Check the header.

        Args:
            header: Of the snapshot.
            now: The business instant; nothing in a book is later.
        """
        self._header = header
        self._found = Violations()
        self._unknown_instruments = 0
        self._currencies = {str(each.instrument_id): each.currency for each in header.instruments}
        self._digests: dict[str, bytes] = {}
        self._parts = self._positions = self._lots = 0
        self._check_header(now)

    def add(self, columns: BookColumns) -> None:
        """Check one part, and count it in when nothing was wrong so far."""
        self._parts += 1
        before = len(self._found)
        if self._lengths_match(columns):
            self._check_accounts(columns)
            if self._rows_exist(columns):
                self._check_positions(columns)
                self._check_lots(columns)
        if len(self._found) == before:
            self._digests.update(digests(columns))
            self._positions += len(columns.position_accounts)
            self._lots += len(columns.lot_positions)

    def snapshot(self, record_time: datetime) -> Snapshot:
        """Return the snapshot that all parts make.

        Raises:
            InstrumentUnknown: Nothing is wrong but instruments that the header does not list.
            BookInvalid: Something else is wrong, or there is no account.
        """
        if not self._digests and not len(self._found):
            self._found.add("part.account_ids", "a snapshot has at least one account, had none")
        only_unknown = self._unknown_instruments == len(self._found)
        self._found.raise_if_any(InstrumentUnknown if only_unknown else BookInvalid)
        content_hash = snapshot_hash(self._header, self._digests)
        return Snapshot(
            snapshot_id=snapshot_id(content_hash),
            source=self._header.source,
            as_of_time=self._header.as_of_time,
            content_hash=content_hash,
            account_count=len(self._digests),
            position_count=self._positions,
            lot_count=self._lots,
            record_time=record_time,
        )

    def _check_header(self, now: datetime) -> None:
        header, add = self._header, self._found.add
        if not header.source:
            add("header.provenance.source", "must not be empty")
        if header.as_of_time > now + CLOCK_AHEAD_MAX:
            add(
                "header.provenance.as_of_time",
                f"must not be after {now.isoformat()}, was {header.as_of_time.isoformat()}",
            )
        if header.as_of_time.date() < ACQUIRED_DATE_MIN:
            add("header.provenance.as_of_time", f"must be {ACQUIRED_DATE_MIN} or later, was {header.as_of_time.date()}")
        seen: set[str] = set()
        for row, instrument in enumerate(header.instruments):
            field = f"header.instruments[{row}]"
            if not ID.fullmatch(instrument.instrument_id):
                add(f"{field}.instrument_id", f"{ID_RULE}, was {instrument.instrument_id[:80]!r}")
            if instrument.instrument_id in seen:
                add(f"{field}.instrument_id", f"must be there once, {instrument.instrument_id} is there again")
            seen.add(instrument.instrument_id)
            if instrument.currency not in CURRENCIES:
                add(f"{field}.currency", f"must be an ISO 4217 currency, was {instrument.currency[:80]!r}")

    def _lengths_match(self, columns: BookColumns) -> bool:
        ok = True
        for group, count in (
            (("household_ids", "custodians", "currencies", "tax_wrappers"), len(columns.account_ids)),
            (("cash", "reserved_cash", *_GAINS), len(columns.account_ids)),
            (("position_instruments", "position_quantities", "position_holdings"), len(columns.position_accounts)),
            (("lot_ids", "lot_acquired_dates", "lot_quantities", "lot_bases"), len(columns.lot_positions)),
        ):
            for name in group:
                column: Sequence[object] | Numbers = getattr(columns, name)
                rows = len(column.units if isinstance(column, Numbers) else column)
                if rows != count:
                    self._add(name, f"must have {count} rows, had {rows}")
                    ok = False
        for name in _NUMBERS:
            scale = getattr(columns, name).scale
            if not 0 <= scale <= SCALE_MAX:
                self._add(f"{name}.scale", f"must be 0 to {SCALE_MAX}, was {scale}")
                ok = False
        return ok

    def _rows_exist(self, columns: BookColumns) -> bool:
        before = len(self._found)
        for name, count in (
            ("position_accounts", len(columns.account_ids)),
            ("lot_positions", len(columns.position_accounts)),
        ):
            for row, target in enumerate(getattr(columns, name)):
                if not 0 <= target < count:
                    self._add(f"{name}[{row}]", f"must be a row from 0 to {count - 1}, was {target}")
        return len(self._found) == before

    def _check_accounts(self, columns: BookColumns) -> None:
        seen: set[str] = set()
        for row, account_id in enumerate(columns.account_ids):
            if not ID.fullmatch(account_id):
                self._add(f"account_ids[{row}]", f"{ID_RULE}, was {account_id[:80]!r}")
            elif account_id in seen or account_id in self._digests:
                self._add(f"account_ids[{row}]", f"must be there once in a snapshot, {account_id} is there again")
            seen.add(account_id)

        def whose(row: int) -> str:
            return f"account {columns.account_ids[row]}"

        for row, household_id in enumerate(columns.household_ids):
            if household_id and not ID.fullmatch(household_id):
                self._add(
                    f"household_ids.indexes[{row}]", f"{ID_RULE}, or empty, was {household_id[:80]!r}", whose(row)
                )
        for row, custodian in enumerate(columns.custodians):
            if not ID.fullmatch(custodian):
                self._add(f"custodians.indexes[{row}]", f"{ID_RULE}, was {custodian[:80]!r}", whose(row))
        for row, currency in enumerate(columns.currencies):
            if currency not in CURRENCIES:
                self._add(
                    f"currencies.indexes[{row}]", f"must be an ISO 4217 currency, was {currency[:80]!r}", whose(row)
                )
        self._check_words("tax_wrappers", columns.tax_wrappers, TAX_WRAPPERS, whose)
        for name in ("cash", "reserved_cash", *_GAINS):
            self._check_cents(name, getattr(columns, name), whose)
        self._check_least("reserved_cash", columns.reserved_cash, 0, whose)

    def _check_positions(self, columns: BookColumns) -> None:
        owners, instruments, holdings = (
            columns.position_accounts,
            columns.position_instruments,
            columns.position_holdings,
        )

        def whose(row: int) -> str:
            return f"account {columns.account_ids[owners[row]]}, instrument {instruments[row]}"

        seen: set[tuple[int, str, str]] = set()
        for row, position in enumerate(zip(owners, instruments, holdings, strict=True)):
            owner, instrument_id, _ = position
            currency = self._currencies.get(instrument_id)
            if currency is None:
                self._unknown_instruments += 1
                self._add(
                    f"position_instruments.indexes[{row}]", "must be an instrument that the header lists", whose(row)
                )
            elif currency != columns.currencies[owner]:
                limit = f"must be priced in the account's currency, {columns.currencies[owner]}"
                self._add(f"position_instruments.indexes[{row}]", f"{limit}, was {currency}", whose(row))
            if position in seen:
                self._add(
                    f"position_instruments.indexes[{row}]",
                    "must be there once of one holding, is there again",
                    whose(row),
                )
            seen.add(position)
        self._check_words("position_holdings", holdings, HOLDINGS, whose)
        self._check_least("position_quantities", columns.position_quantities, 1, whose)
        for owner, count in Counter(owners).items():
            if count > POSITIONS_PER_ACCOUNT_MAX:
                limit = f"must be at most {POSITIONS_PER_ACCOUNT_MAX} an account, were {count}"
                self._add("position_accounts", limit, f"account {columns.account_ids[owner]}")

    def _check_lots(self, columns: BookColumns) -> None:
        positions, owners = columns.lot_positions, columns.position_accounts

        def whose(row: int) -> str:
            position = positions[row]
            account_id = columns.account_ids[owners[position]]
            return (
                f"account {account_id}, instrument {columns.position_instruments[position]}, lot {columns.lot_ids[row]}"
            )

        seen: set[tuple[int, str]] = set()
        for row, lot_id in enumerate(columns.lot_ids):
            if not ID.fullmatch(lot_id):
                self._add(f"lot_ids[{row}]", f"{ID_RULE}, was {lot_id[:80]!r}", whose(row))
            lot = (owners[positions[row]], lot_id)
            if lot in seen:
                self._add(f"lot_ids[{row}]", "must be there once in an account, is there again", whose(row))
            seen.add(lot)
        first, last = ACQUIRED_DATE_MIN, self._header.as_of_time.date()
        first_day, last_day = (first - EPOCH).days, (last - EPOCH).days
        for row, day in enumerate(columns.lot_acquired_dates):
            if not first_day <= day <= last_day:
                limit = f"must be from {first} ({first_day}) to {last} ({last_day})"
                self._add(f"lot_acquired_dates.days[{row}]", f"{limit}, was {day}", whose(row))
        self._check_least("lot_quantities", columns.lot_quantities, 1, whose)
        self._check_least("lot_bases", columns.lot_bases, 0, whose)
        self._check_sums(columns)
        for owner, count in Counter(owners[position] for position in positions).items():
            if count > LOTS_PER_ACCOUNT_MAX:
                limit = f"must be at most {LOTS_PER_ACCOUNT_MAX} an account, were {count}"
                self._add("lot_positions", limit, f"account {columns.account_ids[owner]}")

    def _check_sums(self, columns: BookColumns) -> None:
        sums: dict[int, int] = {}
        for position, quantity in zip(columns.lot_positions, columns.lot_quantities.finest, strict=True):
            sums[position] = sums.get(position, 0) + quantity
        quantities = columns.position_quantities.finest
        for position, total in sums.items():
            if total != quantities[position]:
                whose = (
                    f"account {columns.account_ids[columns.position_accounts[position]]}, "
                    f"instrument {columns.position_instruments[position]}"
                )
                limit = f"must be the sum of its lots, {plain_number(total, SCALE_MAX)}"
                was = plain_number(quantities[position], SCALE_MAX)
                self._add(f"position_quantities.units[{position}]", f"{limit}, was {was}", whose)

    def _check_words(self, name: str, words: Sequence[str], known: Mapping[str, object], whose: Describe) -> None:
        for row, word in enumerate(words):
            if word not in known:
                self._add(f"{name}.indexes[{row}]", f"must be one of {', '.join(known)}, was {word[:80]!r}", whose(row))

    def _check_least(self, name: str, column: Numbers, least: int, whose: Describe) -> None:
        for row, units in enumerate(column.units):
            if units < least:
                limit = "must be above 0" if least else "must be 0 or more"
                self._add(f"{name}.units[{row}]", f"{limit}, was {plain_number(units, column.scale)}", whose(row))

    def _check_cents(self, name: str, column: Numbers, whose: Describe) -> None:
        if column.scale <= CENT_SCALE:
            return
        cent = 10 ** (column.scale - CENT_SCALE)
        for row, units in enumerate(column.units):
            if units % cent:
                self._add(
                    f"{name}.units[{row}]", f"must be whole cents, was {plain_number(units, column.scale)}", whose(row)
                )

    def _add(self, field: str, description: str, whose: str = "") -> None:
        where = f"part {self._parts}" if not whose else f"{whose}; part {self._parts}"
        self._found.add(f"part.{field}", f"{description} ({where})")


_GAINS = ("short_term_gains", "long_term_gains", "share_gains")
_NUMBERS = (
    "cash",
    "reserved_cash",
    *_GAINS,
    "position_quantities",
    "lot_quantities",
    "lot_bases",
)
