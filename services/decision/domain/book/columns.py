"""Many accounts as columns, the form in which a book arrives; and one account at a time out of them.

A million lots are a few lists of integers here. Numbers are compared and hashed as integers at one scale, so the same
book in other units, other parts or another order of rows is the same book.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.decision.domain.book.account import AccountBook, HoldingKind, Position, SnapshotId, TaxWrapper
from services.decision.domain.book.gains import opening_gains
from services.decision.domain.book.snapshot import Snapshot
from services.decision.domain.columns import EPOCH, Numbers
from services.decision.domain.problem import LotId, LotState
from services.kernel.ids import AccountId, HouseholdId, InstrumentId

# The words of the contract.
TAX_WRAPPERS: Mapping[str, TaxWrapper] = {f"TAX_WRAPPER_{each}": each for each in TaxWrapper}
HOLDINGS: Mapping[str, HoldingKind] = {f"HOLDING_{each}": each for each in HoldingKind}


@dataclass(frozen=True, slots=True)
class BookColumns:
    """Some accounts of a snapshot, whole. Names and meaning are those of the contract's `BookPart`.

    Position rows name accounts by their row, lot rows name positions by theirs. Nothing is checked yet.
    """

    account_ids: Sequence[str]
    household_ids: Sequence[str]
    custodians: Sequence[str]
    currencies: Sequence[str]
    tax_wrappers: Sequence[str]
    cash: Numbers
    reserved_cash: Numbers
    short_term_gains: Numbers
    long_term_gains: Numbers
    # 0 for each account whose source does not say.
    share_gains: Numbers
    position_accounts: Sequence[int]
    position_instruments: Sequence[str]
    position_quantities: Numbers
    position_holdings: Sequence[str]
    lot_positions: Sequence[int]
    lot_ids: Sequence[str]
    # Days since 1970-01-01.
    lot_acquired_dates: Sequence[int]
    lot_quantities: Numbers
    lot_bases: Numbers


def digests(columns: BookColumns) -> Iterator[tuple[str, bytes]]:
    """Yield each account's id and the SHA-256 of what the columns, which were checked, say of it."""
    amounts = (columns.cash, columns.reserved_cash, columns.short_term_gains, columns.long_term_gains)
    words = (columns.account_ids, columns.household_ids, columns.custodians, columns.currencies, columns.tax_wrappers)
    accounts = [
        # Only where it says something, so that a snapshot keeps the name that it had before there was any.
        (*said, shares) if shares else said
        for *said, shares in zip(*words, *(amount.finest for amount in (*amounts, columns.share_gains)), strict=True)
    ]
    quantities = columns.position_quantities.finest
    lots = list(
        zip(
            columns.lot_ids,
            columns.lot_acquired_dates,
            columns.lot_quantities.finest,
            columns.lot_bases.finest,
            strict=True,
        )
    )
    for row, positions in enumerate(_rows(columns)):
        content = [
            accounts[row],
            [
                [
                    columns.position_instruments[position],
                    columns.position_holdings[position],
                    quantities[position],
                    [lots[lot] for lot in lot_rows],
                ]
                for position, lot_rows in positions
            ],
        ]
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
        yield columns.account_ids[row], hashlib.sha256(text.encode()).digest()


def accounts(columns: BookColumns, snapshot: Snapshot, opening_position: int) -> Iterator[AccountBook]:
    """Yield each account as `snapshot`, whose checked columns these are, says it is.

    Args:
        columns: Of one part.
        snapshot: Names the accounts' origin.
        opening_position: Position in execution's stream up to which what it reported is in the snapshot.
    """
    cash, reserved = columns.cash.decimals, columns.reserved_cash.decimals
    short, long = columns.short_term_gains.decimals, columns.long_term_gains.decimals
    shares = columns.share_gains.decimals
    quantities = columns.position_quantities.decimals
    lots = _lots(columns)
    for row, positions in enumerate(_rows(columns)):
        household_id = columns.household_ids[row]
        yield AccountBook(
            account_id=AccountId(columns.account_ids[row]),
            household_id=HouseholdId(household_id) if household_id else None,
            custodian=columns.custodians[row],
            currency=columns.currencies[row],
            tax_wrapper=TAX_WRAPPERS[columns.tax_wrappers[row]],
            cash=cash[row],
            reserved_cash=reserved[row],
            realized=opening_gains(snapshot.as_of_time.date(), short[row], long[row], shares[row]),
            positions=tuple(
                Position(
                    InstrumentId(columns.position_instruments[position]),
                    HOLDINGS[columns.position_holdings[position]],
                    quantities[position],
                    tuple(lots[lot] for lot in lot_rows),
                )
                for position, lot_rows in positions
            ),
            snapshot_id=SnapshotId(snapshot.snapshot_id),
            as_of_time=snapshot.as_of_time,
            opening_position=opening_position,
            booked_position=opening_position,
        )


def _lots(columns: BookColumns) -> list[LotState]:
    days = {day: EPOCH + timedelta(days=day) for day in set(columns.lot_acquired_dates)}
    return [
        LotState(LotId(lot_id), days[day], quantity, basis)
        for lot_id, day, quantity, basis in zip(
            columns.lot_ids,
            columns.lot_acquired_dates,
            columns.lot_quantities.decimals,
            columns.lot_bases.decimals,
            strict=True,
        )
    ]


def _rows(columns: BookColumns) -> list[list[tuple[int, list[int]]]]:
    """Return each account's position rows, by instrument and kind, each with its lot rows, oldest first."""
    lots: list[list[int]] = [[] for _ in columns.position_accounts]
    for lot, position in enumerate(columns.lot_positions):
        lots[position].append(lot)
    days, ids = columns.lot_acquired_dates, columns.lot_ids
    for rows in lots:
        rows.sort(key=lambda lot: (days[lot], ids[lot]))
    positions: list[list[tuple[int, list[int]]]] = [[] for _ in columns.account_ids]
    for position, account in enumerate(columns.position_accounts):
        positions[account].append((position, lots[position]))
    instruments, holdings = columns.position_instruments, columns.position_holdings
    for each in positions:
        each.sort(key=lambda item: (instruments[item[0]], holdings[item[0]]))
    return positions
