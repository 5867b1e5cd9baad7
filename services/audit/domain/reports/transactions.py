"""All 65 fields of a MiFIR transaction report, from the log alone: Del. Reg. (EU) 2017/590 (RTS 22), Annex I, table 2.

A client's part of a block is one transaction. Where a block had more than one order, the block's fills are transactions
too, in which `INTC` stands for the clients together, and each client's part has `INTC` on the other side
(ESMA/2016/1452, section 5.23, which also leaves field 62 empty where sellers stand together). So has each part of a
block that opposite orders of other clients filled; it has no fills at a market. A fill that the venue took back cancels
its report.

What cannot apply to what this platform trades says so with its reason; what applies and was not told is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from services.audit.domain.logs import EVENTS
from services.audit.domain.reports.base import Fact, ReportField, Row
from services.audit.domain.reports.orders import ORDER_KINDS, Order, Orders
from services.audit.domain.reports.standing import personal
from services.kernel.canonical import JsonValue, rfc3339

RULE = "Del. Reg. (EU) 2017/590 (RTS 22), Annex I, table 2"
# Clients together, where one order at the market is for several (field 7, field 16).
AGGREGATED = "INTC"
# Field 36 of what is traded at no venue, with no systematic internaliser and on no platform outside the Union, in an
# instrument that is traded at a venue; also where the firm does not know that the other side is an internaliser.
OFF_VENUE = "XOFF"
_NOT_DERIVATIVE = "only of derivatives, which this platform does not trade"
_NOT_TOLD_BY_VENUES = "of the venue's own report; a broker's execution report does not carry it"


@dataclass(frozen=True, slots=True)
class Deal:
    """One transaction: an account's part of a block (`order` and `part`), or a fill of a block for several.

    `fills` are the venue's reports that it rests on; `canceled` says that the venue took it back.
    """

    orders: Orders
    block: str
    order: Order
    fills: tuple[Fact, ...]
    part: Fact | None = None
    canceled: Fact | None = None

    @property
    def buys(self) -> bool:
        """Whether the client's side is the buyer's."""
        return bool(self.order.accepted.data.get("side") == "BUY")

    @property
    def crossed(self) -> bool:
        """Whether other clients' orders filled the block, and no market."""
        return self.orders.crossed(self.block)

    @property
    def shared(self) -> bool:
        """Whether clients together are on the other side of each part: the block was for several orders, or crossed."""
        formed = self.orders.formed.get(self.block)
        return self.crossed or (formed is not None and int(formed.data.get("orders", 1)) > 1)

    @property
    def told(self) -> Fact:
        """The entry that says how much, and at which price."""
        return self.fills[-1] if self.part is None else self.part

    @property
    def decided_by_person(self) -> str | None:
        """Who approved the plan, where a person had to."""
        approved = None if self.part is None else self.order.approved
        return None if approved is None else str(approved.data.get("approver") or approved.entry.event.actor)

    @property
    def evidence(self) -> list[int]:
        """The entries that it rests on."""
        facts = [*self.fills, *(each for each in (self.part, self.canceled) if each is not None)]
        return sorted({*self.orders.evidence(self.order), *(fact.index for fact in facts)})


Value = Callable[[Deal], JsonValue]


@dataclass(frozen=True, slots=True)
class Column:
    """A field: its number and name, what it says, and either where it comes from or why it cannot apply.

    `when` tells whether the rule asks for it in a transaction; always when None.
    """

    number: int
    name: str
    says: str
    value: Value | None = None
    absent: str = ""
    when: Callable[[Deal], bool] | None = None

    @property
    def report_field(self) -> ReportField:
        """The field as reports describe theirs."""
        return ReportField(
            self.name, self.says, f"{RULE}, field {self.number}", self.value is not None, absent=self.absent
        )


def _client(member: str) -> Value:
    return lambda deal: personal(deal.order.client, member)


def _reference(deal: Deal) -> JsonValue:
    # The event's own id: unique for the firm and for ever, 32 of the 52 characters.
    return deal.told.entry.event.event_id.replace("-", "").upper()


def _party(*, buyer: bool) -> Value:
    """Return who is on a side: the client, the clients together, or whom the broker traded for us with."""

    def value(deal: Deal) -> JsonValue:
        ours = deal.buys == buyer
        if deal.part is None:
            return AGGREGATED if ours else deal.order.desk("broker_lei")
        if ours:
            return personal(deal.order.client, "identifier")
        return AGGREGATED if deal.shared else deal.order.desk("broker_lei")

    return value


def _client_side(*, buyer: bool) -> Callable[[Deal], bool]:
    return lambda deal: deal.part is not None and deal.buys == buyer


def _person_side(*, buyer: bool) -> Callable[[Deal], bool]:
    def asked(deal: Deal) -> bool:
        entity = personal(deal.order.client, "scheme") == "LEI"
        return deal.part is not None and deal.buys == buyer and not entity

    return asked


def _only(when: Callable[[Deal], bool], value: Value) -> Value:
    return lambda deal: value(deal) if when(deal) else None


def _by_mandate(*, buyer: bool) -> Callable[[Deal], bool]:
    # Where the log does not tell of a mandate, whether the firm decided is open, and the field is missing.
    return lambda deal: _client_side(buyer=buyer)(deal) and deal.order.discretionary is not False


def _decision_maker(*, buyer: bool) -> Value:
    def value(deal: Deal) -> JsonValue:
        return deal.order.desk("firm_lei") if _client_side(buyer=buyer)(deal) and deal.order.discretionary else None

    return value


def _side_columns(first: int, *, buyer: bool) -> list[Column]:
    """Return the nine fields of the buyer, from 7, or of the seller, from 16."""
    side = "buyer" if buyer else "seller"
    client, person, mandate = _client_side(buyer=buyer), _person_side(buyer=buyer), _by_mandate(buyer=buyer)
    names = (
        ("first_names", "all first names"),
        ("surnames", "all surnames"),
        ("birth_date", "day of birth"),
    )
    return [
        Column(
            first, f"{side}_id", f"who the {side} is: LEI, person's identifier, or {AGGREGATED}", _party(buyer=buyer)
        ),
        Column(
            first + 1,
            f"{side}_branch_country",
            "country of the branch that serves the client",
            _only(client, lambda deal: deal.order.desk("firm_branch")),
            when=client,
        ),
        *(
            Column(first + 2 + at, f"{side}_{name}", f"the {side}'s {says}", _only(person, _client(name)), when=person)
            for at, (name, says) in enumerate(names)
        ),
        Column(
            first + 5,
            f"{side}_decision_maker",
            f"who decides for the {side}: the firm, by a mandate",
            _decision_maker(buyer=buyer),
            when=mandate,
        ),
        *(
            Column(
                first + 6 + at,
                f"{side}_decision_maker_{name}",
                f"the decision maker's {says}",
                absent="only of natural persons; the decision maker is the firm",
            )
            for at, (name, says) in enumerate(names)
        ),
    ]


def _venue_reports(deal: Deal) -> JsonValue:
    return ", ".join(dict.fromkeys(str(fact.data["report_id"]) for fact in deal.fills))


def _facing_market(deal: Deal) -> bool:
    return deal.part is None or not deal.shared


def _time(deal: Deal) -> JsonValue:
    return cast(str, deal.fills[-1].data.get("time")) if deal.fills else rfc3339(deal.told.entry.event.occurred_time)


def _amount(deal: Deal) -> JsonValue:
    return None if deal.part is None else cast(str, deal.part.data.get("amount"))


def _debt(deal: Deal) -> bool:
    told = deal.order.instrument
    return told is not None and str(told.data.get("cfi", "")).startswith("D")


def _instrument(name: str) -> Value:
    return lambda deal: None if deal.order.instrument is None else cast(str, deal.order.instrument.data.get(name))


def _venue(deal: Deal) -> JsonValue:
    # The clients' parts of a block's fills are not traded at the venue again.
    return deal.order.desk("venue_mic") if _facing_market(deal) else OFF_VENUE


def _off_venue(deal: Deal) -> bool:
    return deal.order.desk("venue_mic") in ("XXXX", "XOFF")


def _decider(deal: Deal) -> JsonValue:
    decided = deal.order.decided
    return deal.decided_by_person or (None if decided is None else cast(str, decided.data.get("engine")))


def _by_person(deal: Deal) -> bool:
    return deal.decided_by_person is not None


def _desk(name: str) -> Value:
    return lambda deal: deal.order.desk(name)


def _capacity(deal: Deal) -> JsonValue:
    # Two clients' orders brought together without own capital: Directive 2014/65/EU, Art. 4(1)(38).
    return "MTCH" if deal.crossed else deal.order.desk("capacity")


COLUMNS: tuple[Column, ...] = (
    Column(
        1, "report_status", "NEWT, or CANC of what was taken back", lambda deal: "CANC" if deal.canceled else "NEWT"
    ),
    Column(2, "transaction_reference", "unique for the firm", _reference),
    Column(
        3,
        "venue_transaction_id",
        "the venue's ids of the executions",
        _only(_facing_market, _venue_reports),
        when=_facing_market,
    ),
    Column(4, "executing_entity", "the firm's LEI", _desk("firm_lei")),
    Column(5, "investment_firm", "whether it is one under Directive 2014/65/EU", _desk("investment_firm")),
    Column(6, "submitting_entity", "who reports: the firm itself", _desk("firm_lei")),
    *_side_columns(7, buyer=True),
    *_side_columns(16, buyer=False),
    Column(25, "transmission", "whether the order was transmitted under Art. 4", lambda _: False),
    Column(26, "transmitting_buyer_firm", "who transmitted it for the buyer", absent="only of orders of another firm"),
    Column(
        27, "transmitting_seller_firm", "who transmitted it for the seller", absent="only of orders of another firm"
    ),
    Column(28, "trading_time", "when it was traded, by the venue, in UTC", _time),
    Column(29, "trading_capacity", "DEAL, MTCH or AOTC", _capacity),
    Column(30, "quantity", "how many units", lambda deal: cast(str, deal.told.data.get("quantity"))),
    Column(31, "quantity_currency", "of a nominal quantity", absent="quantities are units"),
    Column(32, "notional_change", "increase or decrease of a notional", absent=_NOT_DERIVATIVE),
    Column(33, "price", "of one unit", lambda deal: cast(str, deal.told.data.get("price"))),
    Column(34, "price_currency", "of the price", lambda deal: cast(str, deal.order.accepted.data.get("currency"))),
    Column(
        35,
        "net_amount",
        "cash paid for a debt instrument",
        _only(_debt, _amount),
        when=lambda deal: _debt(deal) and deal.part is not None,
    ),
    Column(36, "venue", f"the venue's MIC; {OFF_VENUE} between {AGGREGATED} and a client", _venue),
    Column(37, "membership_country", "of the member of the venue", absent="the broker is the member, not the firm"),
    Column(38, "upfront_payment", "paid in advance", absent=_NOT_DERIVATIVE),
    Column(39, "upfront_currency", "of the payment in advance", absent=_NOT_DERIVATIVE),
    Column(40, "complex_trade_id", "of trades that are one strategy", absent="each trade stands alone"),
    Column(41, "isin", "the instrument", _instrument("isin")),
    Column(42, "instrument_name", "its full name, off a venue", _instrument("full_name"), when=_off_venue),
    Column(43, "instrument_classification", "its CFI code, off a venue", _instrument("cfi"), when=_off_venue),
    *(
        Column(number, name, says, absent=_NOT_DERIVATIVE)
        for number, name, says in (
            (44, "notional_currency_1", "of the notional"),
            (45, "notional_currency_2", "of the second leg"),
            (46, "price_multiplier", "units per contract"),
            (47, "underlying_isin", "of the underlying"),
            (48, "underlying_index", "the index that is the underlying"),
            (49, "underlying_index_term", "its term"),
            (50, "option_type", "put or call"),
            (51, "strike_price", "of an option"),
            (52, "strike_currency", "of the strike"),
            (53, "exercise_style", "of an option"),
            (54, "maturity_date", "of a derivative"),
            (55, "expiry_date", "of a derivative"),
            (56, "delivery_type", "in cash or in kind"),
        )
    ),
    Column(57, "investment_decision", "the person or algorithm that decided", _decider),
    Column(
        58,
        "decision_country",
        "of the branch of the person who decided",
        _only(_by_person, _desk("firm_branch")),
        when=_by_person,
    ),
    Column(59, "execution_within_firm", "the algorithm that executes", _desk("execution_algorithm")),
    Column(60, "execution_country", "of the branch of the person who executes", absent="an algorithm executes"),
    Column(61, "waiver", "the pre-trade waiver", absent=_NOT_TOLD_BY_VENUES),
    Column(
        62,
        "short_sale",
        "of a client's sale: SELL, never short, since no more is sold than is held",
        _only(_client_side(buyer=False), lambda _: "SELL"),
        when=_client_side(buyer=False),
    ),
    Column(63, "otc_indicator", "post-trade flags", absent=_NOT_TOLD_BY_VENUES),
    Column(64, "commodity_hedge", "whether it reduces risk", absent="only of commodity derivatives"),
    Column(65, "securities_financing", "whether it is one under Reg. (EU) 2015/2365", lambda _: False),
)


@dataclass(frozen=True, slots=True)
class TransactionsReport:
    """The report."""

    name: str = "mifid-transactions"
    title: str = "Transactions for the competent authority"
    citation: str = f"MiFIR Art. 26; {RULE}"
    log: str = EVENTS
    kinds: tuple[str, ...] = ORDER_KINDS
    columns: tuple[Column, ...] = field(default=COLUMNS)

    @property
    def fields(self) -> list[ReportField]:
        """Its columns."""
        return [each.report_field for each in self.columns]

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each transaction, in the order of what tells of it."""
        deals = sorted(_deals(Orders.of(facts)), key=lambda deal: (deal.told.index, deal.canceled is not None))
        for deal in deals:
            values = {each.name: each.value(deal) for each in self.columns if each.value is not None}
            lacking = frozenset(each.name for each in self.columns if each.when is not None and not each.when(deal))
            yield Row({each.name: values.get(each.name) for each in self.columns}, deal.evidence, lacking)


def _deals(orders: Orders) -> Iterator[Deal]:
    first: dict[str, Order] = {}
    for order in orders.orders.values():
        for part in order.allocations:
            block = part.about("block") or ""
            first.setdefault(block, order)
            fills = tuple(fact for fact in _fills(orders, block) if fact.index < part.index)
            yield Deal(orders, block, order, fills, part)
    for block, order in first.items():
        if orders.crossed(block):
            # Clients together traded with clients together: nobody faced a market.
            continue
        reports = {str(fact.data["report_id"]): fact for fact in _fills(orders, block)}
        for fact in reports.values():
            deal = Deal(orders, block, order, (fact,))
            if deal.shared:
                yield deal
        for fact in orders.block_facts.get(block, ()):
            taken_back = fact.data.get("busts") or fact.data.get("corrects")
            if taken_back in reports:
                deal = Deal(orders, block, order, (reports[taken_back],), canceled=fact)
                if deal.shared:
                    yield deal


def _fills(orders: Orders, block: str) -> list[Fact]:
    return [
        fact for fact in orders.block_facts.get(block, ()) if fact.data.get("report") in ("Filled", "FillCorrected")
    ]


TRANSACTIONS = TransactionsReport()
