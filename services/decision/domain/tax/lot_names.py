"""Names of lots that are unique over accounts: the book gives a lot an id that is unique in its account only."""

from dataclasses import replace
from typing import TypeVar

from services.decision.domain.tax.assessment.history import Acquisition, Disposal, Gift, History, Receipt, Transfer

# Rows that bring a lot, and rows that name the lots that leave.
_Came = TypeVar("_Came", Acquisition, Receipt)
_Left = TypeVar("_Left", Disposal, Gift, Transfer)


def lots_told_apart(history: History) -> History:
    """Return the history with lots named `account:lot` where several accounts have a lot of the same id.

    What leaves an account and names such a lot means the account's own, and then one that was moved to it.
    """
    owners: dict[str, set[str]] = {}
    came: tuple[Acquisition | Receipt, ...] = (*history.acquisitions, *history.receipts)
    for row in came:
        owners.setdefault(row.lot_id, set()).add(row.account_id)
    shared = {lot_id: sorted(each) for lot_id, each in owners.items() if len(each) > 1}
    if not shared:
        return history

    def own(row: _Came) -> _Came:
        return replace(row, lot_id=f"{row.account_id}:{row.lot_id}") if row.lot_id in shared else row

    def names(account_id: str, lot_id: str) -> tuple[str, ...]:
        if lot_id not in shared:
            return (lot_id,)
        others = [each for each in shared[lot_id] if each != account_id] if history.transfers else []
        return tuple(f"{each}:{lot_id}" for each in (account_id, *others))

    def named(row: _Left) -> _Left:
        return replace(row, lot_ids=tuple(name for lot_id in row.lot_ids for name in names(row.account_id, lot_id)))

    return replace(
        history,
        acquisitions=tuple(own(row) for row in history.acquisitions),
        receipts=tuple(own(row) for row in history.receipts),
        disposals=tuple(named(row) for row in history.disposals),
        gifts=tuple(named(row) for row in history.gifts),
        transfers=tuple(named(row) for row in history.transfers),
    )
