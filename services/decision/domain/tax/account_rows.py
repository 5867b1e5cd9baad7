"""Accounts as the database sends them, to be made columns where that is computed: nothing here computes.

A row is an account: its positions, the lots that it began with, and what was booked to it since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.decision.domain.tax.assessment.united_states import UnitedStatesYear


@dataclass(frozen=True, slots=True)
class AccountRows:
    """Accounts of the book; what is bytes is one array of each account, as `array_bytes` has it.

    Attributes:
        account_ids: Ascending.
        plain: Whether the account began as its snapshot says and nothing of it is on record beside bookings; of others
            the arrays are empty.
        currencies: In which each is kept.
        sheltered: Whether its own gains are not taxed.
        position_instruments: Texts.
        position_quantities: Numbers; as they are now.
        opening_instruments: Texts: of the positions that the account began with.
        lot_positions: Integers: of which opening position each lot is, from 0.
        lot_ids: Texts.
        lot_days: Days.
        lot_quantities: Numbers.
        lot_bases: Numbers.
        trade_positions: Numbers: of each booking since, in execution's stream, ascending.
        trade_instruments: Texts.
        trade_sells: Integers: 1 for a sale, 0 for a purchase.
        trade_days: Days.
        trade_quantities: Numbers.
        trade_values: Numbers.
        trade_fees: Numbers.
        trade_uncovered: Numbers: units sold that were not there.
        trade_lots: Integers: how many of `trade_lot_ids` are each booking's.
        trade_lot_ids: Texts: the lot that a purchase made, or those that a sale took, in order.
    """

    account_ids: tuple[str, ...]
    plain: Sequence[bool]
    currencies: Sequence[str]
    sheltered: Sequence[bool]
    position_instruments: Sequence[bytes]
    position_quantities: Sequence[bytes]
    opening_instruments: Sequence[bytes]
    lot_positions: Sequence[bytes]
    lot_ids: Sequence[bytes]
    lot_days: Sequence[bytes]
    lot_quantities: Sequence[bytes]
    lot_bases: Sequence[bytes]
    trade_positions: Sequence[bytes]
    trade_instruments: Sequence[bytes]
    trade_sells: Sequence[bytes]
    trade_days: Sequence[bytes]
    trade_quantities: Sequence[bytes]
    trade_values: Sequence[bytes]
    trade_fees: Sequence[bytes]
    trade_uncovered: Sequence[bytes]
    trade_lots: Sequence[bytes]
    trade_lot_ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class RowFilers:
    """Taxpayers of the United States, and the rows of their accounts.

    Attributes:
        places: Of each taxpayer among those who were asked about, ascending.
        rules: With what is known of each.
        owned_taxpayers: Row of the taxpayer of each account that is owned, ascending.
        owned_accounts: Row of the account.
        affiliated: Whether the account is of whom the law counts as one with the taxpayer.
        identical: By instrument, the set of identical ones that it is in, where that is not its own name.
        happened: Instruments to which something happened that is on record: splits, mergers and the like.
    """

    places: Sequence[int]
    rules: Sequence[UnitedStatesYear]
    owned_taxpayers: Sequence[int]
    owned_accounts: Sequence[int]
    affiliated: Sequence[bool]
    rows: AccountRows
    identical: Mapping[str, str]
    happened: frozenset[str]
