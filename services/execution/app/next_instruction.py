"""What a venue is told next of a block's shares: under a name of its own, in place of what it was told last."""

from collections.abc import Sequence
from datetime import date, datetime

from services.execution.app.records import BlockRecord, InstructionRecord


def next_instruction(
    record: BlockRecord, day: date | None, told: Sequence[InstructionRecord], now: datetime
) -> InstructionRecord:
    """Return what a venue is told next of a block's shares of a day.

    Args:
        record: The block.
        day: The day of trading; None for all days together.
        told: What it was told of the block so far.
        now: When this is written down.
    """
    name = record.block.client_order_id
    of_day = [each for each in told if each.trade_date == day]
    replaced = {each.replaces for each in of_day}
    last = next((each.allocation_id for each in of_day if each.allocation_id not in replaced), None)
    which = "" if day is None else f":{day:%Y%m%d}"
    return InstructionRecord(
        allocation_id=f"{name}:shares{which}:{len(of_day) + 1}",
        block_id=record.block_id,
        venue_id=record.block.terms.venue_id,
        client_order_id=name,
        create_time=now,
        update_time=now,
        trade_date=day,
        replaces=last,
    )
