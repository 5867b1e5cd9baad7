"""Rows ↔ values of breaks, and of what venues are told of blocks' shares."""

from services.execution.app.records import Break, InstructionRecord, Party
from services.execution.app.venue_port import InstructionState
from services.execution.store.rows import AnyRow, Values
from services.kernel.ids import AccountId, BlockId, InstrumentId, VenueId


def break_values(each: Break) -> Values:
    """Return the row of a break."""
    return {
        "break_id": each.break_id,
        "party": each.party,
        "source": each.source,
        "kind": each.kind,
        "account_id": each.account_id,
        "instrument_id": each.instrument_id,
        "block_id": each.block_id,
        "client_order_id": each.client_order_id,
        "ours": each.ours,
        "theirs": each.theirs,
        "find_time": each.find_time,
        "see_time": each.see_time,
        "owner": each.owner,
        "resolve_time": each.resolve_time,
        "resolver": each.resolver,
        "note": each.note,
        "trade_date": each.trade_date,
        "settle_day": each.settle_day,
    }


def break_of(row: AnyRow) -> Break:
    """Return a break."""
    return Break(
        break_id=row.break_id,
        party=Party(row.party),
        source=row.source,
        kind=row.kind,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        instrument_id=None if row.instrument_id is None else InstrumentId(row.instrument_id),
        block_id=None if row.block_id is None else BlockId(row.block_id),
        client_order_id=row.client_order_id,
        ours=row.ours,
        theirs=row.theirs,
        find_time=row.find_time,
        see_time=row.see_time,
        owner=row.owner,
        resolve_time=row.resolve_time,
        resolver=row.resolver,
        note=row.note,
        trade_date=row.trade_date,
        settle_day=row.settle_day,
    )


def instruction_values(each: InstructionRecord) -> Values:
    """Return the row of an allocation instruction."""
    return {
        "block_id": each.block_id,
        "venue_id": each.venue_id,
        "client_order_id": each.client_order_id,
        "replaces": each.replaces,
        "trade_date": each.trade_date,
        "create_time": each.create_time,
        **instruction_changes(each),
    }


def instruction_changes(each: InstructionRecord) -> Values:
    """Return what of an allocation instruction's row may change, and its key."""
    return {
        "allocation_id": each.allocation_id,
        "state": each.state,
        "why": each.why,
        "update_time": each.update_time,
    }


def instruction_of(row: AnyRow) -> InstructionRecord:
    """Return an allocation instruction."""
    return InstructionRecord(
        allocation_id=row.allocation_id,
        block_id=BlockId(row.block_id),
        venue_id=VenueId(row.venue_id),
        client_order_id=row.client_order_id,
        create_time=row.create_time,
        update_time=row.update_time,
        replaces=row.replaces,
        trade_date=row.trade_date,
        state=InstructionState(row.state),
        why=row.why,
    )
