"""What audit is told of differences between our record and others'."""

from datetime import date

from services.execution.app.records import Break
from services.execution.app.venue_port import VenueReport
from services.execution.domain.movements import CustodianMovement, News
from services.kernel.canonical import JsonValue
from services.kernel.events import Event


def order_unknown(venue_id: str, said: VenueReport) -> Event:
    """Say that a venue reported about an order that is not ours."""
    return Event(
        "execution.break.found",
        {},
        {
            "kind": "UNKNOWN_ORDER",
            "venue_id": venue_id,
            "client_order_id": said.client_order_id,
            "report_id": said.report.report_id,
        },
    )


def break_found(each: Break) -> Event:
    """Say that our record and another's differ."""
    return _break_event("found", each, kind=each.kind, ours=each.ours, theirs=each.theirs)


def break_gone(each: Break) -> Event:
    """Say that both agree again."""
    return _break_event("gone", each, kind=each.kind)


def break_assigned(each: Break, by: str) -> Event:
    """Say who looks after a break, and who said so."""
    return _break_event("assigned", each, owner=each.owner, by=by)


def break_resolved(each: Break) -> Event:
    """Say that a person settled a break, and how."""
    return _break_event("resolved", each, by=each.resolver, note=each.note, ours=each.ours, theirs=each.theirs)


def custodian_ingested(custodian: str, day: date, accounts: int, moved: int) -> Event:
    """Say that a custodian's statement came, of how many accounts, and how many movements are new in it."""
    said: dict[str, JsonValue] = {"custodian": custodian, "day": day, "accounts": accounts, "movements": moved}
    return Event("execution.custodian.ingested", {}, said)


def custodian_moved(custodian: str, day: date, currency: str, each: News) -> Event:
    """Say what a custodian's statement of `day` says moved, and what of it counts in what the account should have."""
    moved = each.movement
    subjects: dict[str, str] = {"account": moved.account_id}
    if moved.instrument_id is not None:
        subjects["instrument"] = moved.instrument_id
    counted: list[JsonValue] = [[change.instrument_id or currency, change.amount] for change in each.changes]
    said: dict[str, JsonValue] = {
        "custodian": custodian,
        "statement_day": day,
        "reference": moved.reference,
        "day": moved.day,
        "currency": currency,
        **_moved(moved),
        "counted": counted,
    }
    if each.earlier is not None:
        said["earlier"] = {"instrument_id": each.earlier.instrument_id, **_moved(each.earlier)}
    return Event("execution.custodian.moved", subjects, said)


def _moved(movement: CustodianMovement) -> dict[str, JsonValue]:
    return {"kind": movement.kind, "units": movement.units, "cash": movement.cash}


def _break_event(what: str, each: Break, **data: JsonValue) -> Event:
    subjects = {
        name: value
        for name, value in (
            ("account", each.account_id),
            ("instrument", each.instrument_id),
            ("block", each.block_id),
        )
        if value
    }
    said: dict[str, JsonValue] = {"break_id": each.break_id, "party": each.party, "source": each.source, **data}
    return Event(f"execution.break.{what}", subjects, said)
