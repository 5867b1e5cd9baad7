"""A broker on this machine whose FIX engine is not ours: QuickFIX speaks, the sandbox's rules fill.

What it is for: `make demo VENUE=fix` trades with it, and the tests of the FIX adapter and of the session engine take it
as the foreign counterparty. It does what a broker does (orders, lists, replaces, cancels, status, allocations, drop
copies) and what one hopes a broker will not do (lost answers, busts, corrections, halts), on request.

Requests come as lines of JSON on standard input, each answered by a line on standard output: `{"do": "market", …}`.
An exception that leaves a Python callback ends QuickFIX's process, so each callback keeps its own.

    python -m tools.local.quickfix_broker --port 9880 --folder .state/broker
"""

import argparse
import itertools
import json
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import quickfix as fix

from services.execution.app.venue_port import Intent, MarketSetting
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.exchanges import exchange
from services.execution.domain.order import (
    Accepted,
    Canceled,
    ChangeRefused,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    OrderState,
    Paused,
    Replaced,
    Report,
    Restated,
    VenueOrder,
    after,
)
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.fix44 import deals
from services.execution.venues.sandbox import market as rules
from services.kernel.ids import InstrumentId

ZERO = Decimal(0)
# Whose auctions there are.
HOURS = exchange("XNYS")
DICTIONARY = Path(sys.prefix) / "share" / "quickfix" / "FIX44.xml"
# How often the market looks at resting orders, in seconds.
LOOK_S = 0.005

SIDES = {"1": Side.BUY, "2": Side.SELL}
ORDER_TYPES = {"1": OrderType.MARKET, "2": OrderType.LIMIT}
TIMES_IN_FORCE = {"0": TimeInForce.DAY, "3": TimeInForce.IMMEDIATE_OR_CANCEL, "4": TimeInForce.FILL_OR_KILL}
STATES = {
    OrderState.PENDING_NEW: "A",
    OrderState.NEW: "0",
    OrderState.PARTIALLY_FILLED: "1",
    OrderState.FILLED: "2",
    OrderState.CANCELED: "4",
    OrderState.REJECTED: "8",
    OrderState.SUSPENDED: "9",
    OrderState.EXPIRED: "C",
}


@dataclass
class Order:
    """An order as the broker has it: what rests in the market, and how FIX tells of it."""

    order_id: str
    resting: rules.RestingOrder
    told: VenueOrder
    # The names it had; the last is the present one.
    names: list[str]

    @property
    def first_name(self) -> str:
        """Return the name under which it came."""
        return self.names[0]


@dataclass
class Faults:
    """What goes wrong, on request: so many of the next orders are taken and not answered until somebody asks."""

    answers_held: int = 0


@dataclass
class Book:
    """The broker's orders and market. `tell` sends what is said."""

    tell: Callable[[Order, Report, str], None]
    market: MarketSetting | None = None
    prices: dict[str, Decimal] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    halted: set[str] = field(default_factory=set)
    # Orders that the market has reason to look at.
    active: dict[str, Order] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def order(self, name: str) -> Order | None:
        """Return the order that has, or had, a name."""
        first = self.names.get(name)
        return None if first is None else self.orders[first]

    def take(self, intent: Intent) -> Order:
        """Take a new order."""
        now = datetime.now(UTC)
        order = Order(
            order_id=f"B{next(self.numbers)}",
            resting=rules.RestingOrder(intent, now, now),
            told=VenueOrder(intent.quantity, intent.limit_price),
            names=[intent.client_order_id],
        )
        self.orders[intent.client_order_id] = order
        self.names[intent.client_order_id] = intent.client_order_id
        self.active[intent.client_order_id] = order
        return order

    def change(self, order: Order, changed: tuple[rules.RestingOrder, list[Report]], name: str = "") -> bool:
        """Record and tell what happened to an order; return whether anything did."""
        order.resting, said = changed
        for report in said:
            order.told = after(order.told, report)
            self.tell(order, report, name)
        if said and order.resting.open:
            self.active[order.first_name] = order
        return bool(said)

    def look(self) -> None:
        """Let the market look once at each order that it has reason to look at."""
        market = self.market
        if market is None:
            return
        for name, order in list(self.active.items()):
            if not order.resting.acknowledged:
                self.change(order, rules.acknowledged(order.resting))
                continue
            middle = self.prices[order.resting.intent.instrument_id]
            if not order.resting.open or not self.change(order, rules.matched(order.resting, market, middle, HOURS)):
                self.active.pop(name, None)

    def wake(self) -> None:
        """Have the market look at everything that is open."""
        self.active |= {name: order for name, order in self.orders.items() if order.resting.open}


class Desk:
    """Serves one client: its orders, and the session that it uses."""

    def __init__(self) -> None:
        self.book = Book(self._report)
        self.faults = Faults()
        self.session: fix.SessionID | None = None
        self.drop_copies: fix.SessionID | None = None
        self.allocations: dict[str, str] = {}
        self.counts = {"orders": 0, "reports": 0, "duplicates": 0, "logons": 0}
        self._handlers: dict[str, Callable[[fix.Message], None]] = {
            "D": self._new_order,
            "E": self._new_list,
            "F": self._cancel,
            "G": self._replace,
            "H": self._status,
            "AF": self._mass_status,
            "J": self._allocation,
        }

    def serve(self, message: fix.Message) -> None:
        """Answer an application message."""
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        self._handlers[kind.getValue()](message)

    # Orders.

    def _new_order(self, message: fix.FieldMap) -> None:
        name = _get(message, 11)
        self.counts["orders"] += 1
        if name in self.book.names:
            self.counts["duplicates"] += 1
            self._refuse(message, 6, "duplicate order")
            return
        why = self._unwanted(message)
        if why:
            self._refuse(message, 1, why)
            return
        order = self.book.take(_intent(message))
        if self.faults.answers_held > 0:
            self.faults.answers_held -= 1
            self.book.active.pop(order.first_name)
            return
        self.book.look()

    def _unwanted(self, message: fix.FieldMap) -> str:
        symbol = _get(message, 55)
        if self.book.market is None or symbol not in self.book.prices:
            return f"{symbol} has no market here"
        if _get(message, 38) is None:
            return "OrderQty is missing"
        currency, paid_in = self.book.currencies[symbol], deals.fix_currency(InstrumentId(symbol), _currency(message))
        pair = dealt_currency(InstrumentId(symbol), currency)
        if paid_in not in (currency, pair):
            return f"the market is in {currency}, the order in {paid_in}"
        if pair is not None and (_get(message, 460), _get(message, 167)) != ("4", "FOR"):
            return f"{symbol} is traded as Product 4, SecurityType FOR"
        if pair is not None and _get(message, 64) is None:
            return "SettlDate is missing"
        return ""

    def _refuse(self, message: fix.FieldMap, reason: int, why: str) -> None:
        refusal = _message("8")
        _put(refusal, 37, "NONE", 11, _get(message, 11), 17, f"R{next(self.book.numbers)}", 150, "8", 39, "8")
        _put(refusal, 103, str(reason), 58, why, 55, _get(message, 55), 54, _get(message, 54))
        _put(refusal, 38, _get(message, 38), 151, "0", 14, "0", 6, "0", 60, _now())
        self._send(refusal)

    def _new_list(self, message: fix.Message) -> None:
        count = int(_get(message, 73) or 0)
        entries = []
        for number in range(1, count + 1):
            entry = fix.Group(73, 11)
            message.getGroup(number, entry)
            entries.append(entry)
        status = _message("N")
        _put(status, 66, _get(message, 66), 429, "1", 82, "1", 431, "3", 83, "1", 68, str(count))
        for entry in entries:
            line = fix.Group(73, 11)
            why = self._unwanted(entry)
            _put(line, 11, _get(entry, 11), 14, "0", 39, "8" if why else "0", 151, "0" if why else _get(entry, 38))
            _put(line, 84, "0", 6, "0")
            if why:
                _put(line, 103, "1", 58, why)
            status.addGroup(line)
        self._send(status)
        for entry in entries:
            self._new_order(entry)

    def _cancel(self, message: fix.Message) -> None:
        order = self._named(message, "1")
        if order is None:
            return
        if not order.resting.open:
            self._too_late(message, order, "1")
            return
        order.names.append(_get(message, 11) or "")
        self.book.names[order.names[-1]] = order.first_name
        self.book.change(order, rules.canceled(order.resting), _get(message, 41) or "")

    def _replace(self, message: fix.Message) -> None:
        order = self._named(message, "2")
        if order is None:
            return
        if not order.resting.open:
            self._too_late(message, order, "2")
            return
        name, limit = _get(message, 11) or "", _limit(message)
        order.names.append(name)
        self.book.names[name] = order.first_name
        quantity = Decimal(_get(message, 38) or 0)
        changed = rules.replaced(order.resting, name, quantity, limit, datetime.now(UTC))
        self.book.change(order, changed, _get(message, 41) or "")
        self.book.look()

    def _named(self, message: fix.Message, response_to: str) -> Order | None:
        """Return the order that a change is about; tells the sender when there is none, or the change is known."""
        name, original = _get(message, 11) or "", _get(message, 41) or ""
        order = self.book.order(original)
        if order is None:
            self._reject_change(name, original, "NONE", "8", response_to, "1", "unknown order")
        elif name in self.book.names:
            self._reject_change(name, original, order.order_id, _state(order), response_to, "6", "duplicate ClOrdID")
        else:
            return order
        return None

    def _too_late(self, message: fix.Message, order: Order, response_to: str) -> None:
        name, original = _get(message, 11) or "", _get(message, 41) or ""
        self._reject_change(name, original, order.order_id, _state(order), response_to, "0", "too late: it is over")

    def _reject_change(
        self, name: str, original: str, order_id: str, state: str, response_to: str, reason: str, why: str
    ) -> None:
        rejection = _message("9")
        _put(rejection, 37, order_id, 11, name, 41, original, 39, state, 434, response_to, 102, reason, 58, why)
        self._send(rejection)

    def _status(self, message: fix.Message) -> None:
        name = _get(message, 11) or ""
        order = self.book.order(name)
        if order is None:
            unknown = _message("8")
            _put(unknown, 37, "NONE", 11, name, 17, f"S{next(self.book.numbers)}", 150, "I", 39, "8", 103, "5")
            _put(unknown, 790, _get(message, 790), 55, _get(message, 55), 54, _get(message, 54))
            _put(unknown, 58, "unknown order", 151, "0", 14, "0", 6, "0")
            self._send(unknown)
            return
        answer = self._standing(order)
        _put(answer, 790, _get(message, 790))
        self._send(answer)
        if not order.resting.acknowledged:
            # Its answer was held back; whoever asks is told.
            self.book.active[order.first_name] = order

    def _mass_status(self, message: fix.Message) -> None:
        request, orders = _get(message, 584), list(self.book.orders.values())
        if not orders:
            nothing = _message("8")
            _put(nothing, 37, "NONE", 17, f"S{next(self.book.numbers)}", 150, "I", 39, "8", 584, request, 911, "0")
            _put(nothing, 912, "Y", 55, "[N/A]", 54, "7", 58, "no orders", 151, "0", 14, "0", 6, "0")
            self._send(nothing)
        for number, order in enumerate(orders, 1):
            answer = self._standing(order)
            _put(answer, 584, request, 911, str(len(orders)), 912, "Y" if number == len(orders) else "N")
            self._send(answer)

    def _standing(self, order: Order) -> fix.Message:
        answer = self._about(order)
        _put(answer, 17, f"S{next(self.book.numbers)}", 150, "I")
        if order.told.fees:
            intent = order.resting.intent
            pair = deals.kind_of(intent.instrument_id, intent.currency)
            _put(answer, 12, f"{order.told.fees:f}", 13, "3", 479, intent.currency if pair else None)
        return answer

    def _about(self, order: Order) -> fix.Message:
        report = _message("8")
        intent, told = order.resting.intent, order.told
        name, money = intent.instrument_id, intent.currency
        _put(report, 37, order.order_id, 11, order.names[-1], 39, _state(order), 55, intent.instrument_id)
        _put(report, 54, "1" if intent.side is Side.BUY else "2", 38, f"{told.quantity:f}")
        _put(report, 151, f"{told.leaves_quantity:f}", 14, f"{told.filled_quantity:f}")
        average = deals.as_quoted(name, money, told.average_price) if told.average_price else ZERO
        _put(report, 6, f"{average:f}", 60, _now(self.book.market))
        if told.limit_price is not None:
            _put(report, 40, "2", 44, f"{deals.as_quoted(name, money, told.limit_price):f}")
        for tag, value in deals.kind_of(name, money):
            _put(report, tag, str(value), 15, deals.fix_currency(name, money))
        return report

    def _trade(self, message: fix.Message, order: Order, fill: Filled | FillCorrected) -> None:
        name, money = order.resting.intent.instrument_id, order.resting.intent.currency
        _put(message, 32, f"{fill.quantity:f}", 31, f"{deals.as_quoted(name, money, fill.price):f}")
        _put(message, 12, f"{fill.fee:f}", 13, "3", 479, money if deals.kind_of(name, money) else None)

    def _report(self, order: Order, said: Report, original: str) -> None:
        message = self._about(order)
        _put(message, 17, said.report_id)
        match said:
            case Accepted():
                _put(message, 150, "0")
            case Filled():
                _put(message, 150, "F")
                self._trade(message, order, said)
            case FillCorrected():
                _put(message, 150, "G", 19, said.corrects)
                self._trade(message, order, said)
            case FillBusted():
                _put(message, 150, "H", 19, said.busts)
            case Canceled():
                _put(message, 150, "4", 41, original or None)
            case Replaced():
                _put(message, 150, "5", 41, original)
            case Expired():
                _put(message, 150, "C")
            case Paused():
                _put(message, 150, "9")
            case Restated():
                _put(message, 150, "D", 378, "99")
            case ChangeRefused():
                return
            case _:
                raise ValueError(f"the market never says {said}")
        self._send(message)

    # Allocations.

    def _allocation(self, message: fix.Message) -> None:
        name, quantity = _get(message, 70) or "", Decimal(_get(message, 53) or 0)
        known = self.allocations.get(name)
        ordered = fix.Group(73, 11)
        message.getGroup(1, ordered)
        order = self.book.order(_get(ordered, 11) or "")
        filled = ZERO if order is None else order.told.filled_quantity
        why = known if known is not None else ""
        if known is None and _get(message, 71) != "2" and quantity > filled:
            why = f"{filled:f} is filled, {quantity:f} is allocated"
        self.allocations[name] = why
        answer = _message("P")
        _put(answer, 70, name, 87, "1" if why else "3", 60, _now(), 75, _get(message, 75))
        if why:
            _put(answer, 88, "2", 58, why)
        self._send(answer)
        if not why:
            self._send(self._allocation_report(message, name))

    def _allocation_report(self, message: fix.Message, name: str) -> fix.Message:
        report = _message("AS")
        _put(report, 755, f"AR-{name}", 70, name, 71, _get(message, 71), 794, "3", 87, "0", 857, "0")
        for tag in (54, 55, 53, 6, 75):
            _put(report, tag, _get(message, tag))
        for number in range(1, int(_get(message, 78) or 0) + 1):
            asked, line = fix.Group(78, 79), fix.Group(78, 79)
            message.getGroup(number, asked)
            _put(line, 79, _get(asked, 79), 80, _get(asked, 80))
            report.addGroup(line)
        return report

    # Sending.

    def _send(self, message: fix.Message) -> None:
        self.counts["reports"] += 1
        fix.Session.sendToTarget(message, self.session)
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if self.drop_copies is not None and kind.getValue() == "8" and _get(message, 150) != "I":
            copy = fix.Message(message)
            _put(copy, 797, "Y")
            fix.Session.sendToTarget(copy, self.drop_copies)

    # What whoever runs the broker asks for.

    def market(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Set the market; a new day ends the orders of the day before."""
        time_ = datetime.fromisoformat(asked["time"])
        setting = MarketSetting(
            currency=asked.get("currency", "USD"),
            spread_bps=Decimal(asked.get("spread_bps", "0")),
            fee_bps=Decimal(asked.get("fee_bps", "0")),
            seed=int(asked.get("seed", 1)),
            fill_share_max=Decimal(asked.get("share", "1")),
            market_time=time_,
        )
        book = self.book
        if book.market is not None and book.market.market_time.date() < time_.date():
            for order in [each for each in book.orders.values() if each.resting.open]:
                book.change(order, rules.expired(order.resting))
        book.market = setting
        book.prices |= {name: Decimal(price) for name, price in asked["prices"].items()}
        book.currencies |= dict.fromkeys(asked["prices"], setting.currency)
        book.wake()
        return {"instruments": len(book.prices)}

    def bust(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Take a fill back."""
        order, fill = self._fill(asked)
        self.book.change(order, rules.busted(order.resting, fill))
        return {}

    def correct(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Say what a fill was in truth."""
        order, fill = self._fill(asked)
        quantity, price = Decimal(asked["quantity"]), Decimal(asked["price"])
        fee = fill.fee if self.book.market is None else rules.fee_of(quantity * price, self.book.market)
        self.book.change(order, rules.corrected(order.resting, fill, quantity, price, fee))
        return {}

    def _fill(self, asked: dict[str, Any]) -> tuple[Order, Filled]:
        order = self.book.order(asked["order"])
        if order is None:
            raise ValueError(f"order {asked['order']} is unknown")
        live = order.told.fills[asked["fill"]]
        return order, Filled(live.report_id, live.quantity, live.price, live.fee)

    def halt(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Halt an instrument, or let it trade again."""
        halted = bool(asked["halted"])
        for order in list(self.book.orders.values()):
            resting = order.resting
            if resting.open and resting.suspended is not halted and resting.intent.instrument_id == asked["instrument"]:
                number = next(self.book.numbers)
                self.book.change(order, (rules.suspended if halted else rules.resumed)(resting, number))
        self.book.wake()
        return {}

    def faults_of(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Say what goes wrong from now on."""
        changes = {name: value for name, value in asked.items() if name not in ("do", "client")}
        self.faults = replace(self.faults, **changes)
        return {}

    def refuse_allocations(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse an allocation that is not there yet."""
        self.allocations[asked["allocation_id"]] = asked["why"]
        return {}

    def state(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return what the broker has, and the numbers of its session."""
        session = fix.Session.lookupSession(self.session)
        return {
            "logged_on": session.isLoggedOn(),
            "next_out": session.getExpectedSenderNum(),
            "next_in": session.getExpectedTargetNum(),
            "quiet": not self.book.active,
            "counts": self.counts,
            "orders": {
                name: {
                    "names": order.names,
                    "filled": f"{order.told.filled_quantity:f}",
                    "amount": f"{order.told.gross_amount:f}",
                    "open": order.resting.open,
                    "fills": sorted(order.told.fills),
                }
                for name, order in self.book.orders.items()
            },
        }

    def numbers(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Set the numbers of the session, to make gaps; return the counts alone."""
        session = fix.Session.lookupSession(self.session)
        if "next_out" in asked:
            session.setNextSenderMsgSeqNum(int(asked["next_out"]))
        if "next_in" in asked:
            session.setNextTargetMsgSeqNum(int(asked["next_in"]))
        return {
            "logged_on": session.isLoggedOn(),
            "next_out": session.getExpectedSenderNum(),
            "next_in": session.getExpectedTargetNum(),
            "quiet": not self.book.active,
            "counts": self.counts,
        }

    def drop(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Log out and disconnect, or only disconnect."""
        session = fix.Session.lookupSession(self.session)
        if asked.get("politely"):
            session.logout("as told")
        else:
            session.disconnect()
        return {}

    def do(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked on standard input."""
        handlers = {
            "market": self.market,
            "bust": self.bust,
            "correct": self.correct,
            "halt": self.halt,
            "faults": self.faults_of,
            "refuse_allocation": self.refuse_allocations,
            "state": self.state,
            "numbers": self.numbers,
            "drop": self.drop,
        }
        answer = handlers[asked["do"]](asked)
        self.book.look()
        return answer


# What of a desk outlives its process.
_KEPT_OF_BOOK = ("market", "prices", "currencies", "orders", "names", "halted", "active", "numbers")


class Broker(fix.Application):  # type: ignore[misc] # QuickFIX has no types
    """QuickFIX's callbacks over a desk for each client. One lock: QuickFIX calls from its own threads."""

    def __init__(self, clients: Sequence[str], drop_copies_to: str) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.desks = {client: Desk() for client in clients}
        self._drop_copies_to = drop_copies_to
        self._first = clients[0]

    def onCreate(self, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Remember the sessions; copies are of what the first client's orders become."""
        target = session.getTargetCompID().getValue()
        if target == self._drop_copies_to:
            self.desks[self._first].drop_copies = session
        else:
            self.desks[target].session = session

    def onLogon(self, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Count."""
        desk = self.desks.get(session.getTargetCompID().getValue())
        if desk is not None:
            desk.counts["logons"] += 1

    def onLogout(self, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Do nothing."""

    def toAdmin(self, message: fix.Message, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Do nothing."""

    def fromAdmin(self, message: fix.Message, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Do nothing."""

    def toApp(self, message: fix.Message, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Do nothing: reports are resent when asked for, as brokers do."""

    def fromApp(self, message: fix.Message, session: fix.SessionID) -> None:  # noqa: N802 - QuickFIX names it
        """Answer an application message."""
        try:
            with self.lock:
                self.desks[session.getTargetCompID().getValue()].serve(message)
        except Exception:  # noqa: BLE001 - an exception that leaves a callback ends the process
            traceback.print_exc(file=sys.stderr)

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked on standard input, at the desk of `client`; the first when none is named."""
        with self.lock:
            return self.desks[asked.get("client", self._first)].do(asked)

    def keep(self, file: Path) -> None:
        """Write down the books, so that `resume` finds them after a restart."""
        with self.lock:
            kept = {
                client: ({name: getattr(desk.book, name) for name in _KEPT_OF_BOOK}, desk.allocations, desk.counts)
                for client, desk in self.desks.items()
            }
            written = pickle.dumps(kept)
        file.with_suffix(".new").write_bytes(written)
        file.with_suffix(".new").replace(file)

    def resume(self, file: Path) -> None:
        """Go on with the books that `keep` wrote down, if it did."""
        if not file.exists():
            return
        for client, (book, allocations, counts) in pickle.loads(file.read_bytes()).items():  # noqa: S301 - ours
            desk = self.desks[client]
            for name, value in book.items():
                setattr(desk.book, name, value)
            desk.allocations, desk.counts = allocations, counts


def _message(kind: str) -> fix.Message:
    message = fix.Message()
    message.getHeader().setField(fix.BeginString("FIX.4.4"))
    message.getHeader().setField(fix.MsgType(kind))
    return message


def _put(message: fix.FieldMap, *pairs: int | str | None) -> None:
    """Set fields, given as tag, value, tag, value…; None is left out. Values go as text, so decimals stay exact."""
    for tag, value in zip(pairs[::2], pairs[1::2], strict=True):
        if value is not None:
            message.setField(fix.StringField(tag, value))


def _get(message: fix.FieldMap, tag: int) -> str | None:
    if not message.isSetField(tag):
        return None
    value = message.getField(tag)
    return None if value is None else str(value)


def _currency(message: fix.FieldMap) -> str:
    return _get(message, 15) or "USD"


def _limit(message: fix.FieldMap) -> Decimal | None:
    limit, name = _get(message, 44), InstrumentId(_get(message, 55) or "")
    return None if limit is None else deals.as_paid(name, deals.fix_currency(name, _currency(message)), Decimal(limit))


def _intent(message: fix.FieldMap) -> Intent:
    name = InstrumentId(_get(message, 55) or "")
    quantity = Decimal(_get(message, 38) or 0)
    return Intent(
        client_order_id=_get(message, 11) or "",
        instrument_id=name,
        side=SIDES[_get(message, 54) or ""],
        quantity=quantity,
        # FIX 4.4 names no increment: the finest digit of the quantity is one.
        increment=Decimal(_get(message, 561) or 0) or Decimal(1).scaleb(min(int(quantity.as_tuple().exponent), 0)),
        order_type=ORDER_TYPES[_get(message, 40) or ""],
        limit_price=_limit(message),
        time_in_force=TIMES_IN_FORCE[_get(message, 59) or "0"],
        currency=deals.fix_currency(name, _currency(message)),
    )


def _state(order: Order) -> str:
    return STATES.get(order.told.state, "A")


def _now(market: MarketSetting | None = None) -> str:
    instant = datetime.now(UTC) if market is None else market.market_time
    return instant.strftime("%Y%m%d-%H:%M:%S.") + f"{instant.microsecond // 1000:03d}"


def settings_text(
    *,
    port: int,
    folder: Path,
    us: str,
    clients: Sequence[str],
    drop_copies_to: str,
    tls: Path | None,
    options: dict[str, str],
) -> str:
    """Return QuickFIX's settings: a session for each client, and one for drop copies when it has a name."""
    default = {
        "ConnectionType": "acceptor",
        "SocketAcceptPort": str(port),
        "SocketReuseAddress": "Y",
        "SocketNodelay": "Y",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "SenderCompID": us,
        "HeartBtInt": "30",
        "FileStorePath": str(folder / "store"),
        "FileLogPath": str(folder / "log"),
        "DataDictionary": str(DICTIONARY),
        "BeginString": "FIX.4.4",
        "TimeStampPrecision": "3",
    }
    if tls is not None:
        default |= {
            "ServerCertificateFile": str(tls / "broker.pem"),
            "ServerCertificateKeyFile": str(tls / "broker.key"),
            "CertificationAuthoritiesFile": str(tls / "ca.pem"),
            "CertificateVerifyLevel": "2",
            "SSLProtocol": "+TLSv1_2",
        }
    default |= options
    lines = ["[DEFAULT]", *(f"{name}={value}" for name, value in default.items())]
    for target in filter(None, (*clients, drop_copies_to)):
        lines += ["[SESSION]", f"TargetCompID={target}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where QuickFIX keeps its store and its log")
    parser.add_argument("--us", default="BROKER", help="the broker's CompID")
    parser.add_argument("--clients", nargs="+", default=["EVENKEEL"], help="the CompIDs of who trades")
    parser.add_argument("--drop-copies-to", default="", help="the CompID of who gets copies; nobody when empty")
    parser.add_argument("--tls", type=Path, default=None, help="a folder with ca.pem, broker.pem and broker.key")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of QuickFIX")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    text = settings_text(
        port=given.port,
        folder=given.folder,
        us=given.us,
        clients=given.clients,
        drop_copies_to=given.drop_copies_to,
        tls=given.tls,
        options=dict(each.split("=", 1) for each in given.set),
    )
    file = given.folder / "broker.cfg"
    file.write_text(text)
    broker = Broker(given.clients, given.drop_copies_to)
    books = given.folder / "books"
    broker.resume(books)
    settings = fix.SessionSettings(str(file))
    kind = fix.SocketAcceptor if given.tls is None else fix.SSLSocketAcceptor
    acceptor = kind(broker, fix.FileStoreFactory(settings), settings, fix.FileLogFactory(settings))
    acceptor.start()
    threading.Thread(target=_look, args=(broker,), daemon=True).start()
    print(json.dumps({"up": True, "port": given.port}), flush=True)  # noqa: T201 - the control channel
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            if asked["do"] == "keep":
                broker.keep(books)
                answer = {}
            else:
                answer = broker.run(asked)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the control channel
    acceptor.stop(True)


def _look(broker: Broker) -> None:
    while True:
        time.sleep(LOOK_S)
        with broker.lock:
            for desk in broker.desks.values():
                desk.book.look()


if __name__ == "__main__":
    main()
