"""What clients are told of orders that met inside: 17 CFR 275.206(3)-2(a)(2) to (4).

The rule is about crosses for which an adviser is paid as a broker. Here none is (`CROSSING_RULE` of execution), so it
does not bind; its confirmation and its yearly statement are what such a client may expect nevertheless, and they show
that nobody was paid. A cross that was undone since is said to be, and is not counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from services.audit.domain.logs import EVENTS
from services.audit.domain.reports.base import Fact, ReportField, Row
from services.audit.domain.reports.orders import told_time
from services.kernel.canonical import JsonValue
from services.kernel.decimals import plain

_RULE = "17 CFR 275.206(3)-2"
_KINDS = ("execution.order.allocated", "execution.block.crossed", "execution.block.uncrossed")
_NATURE = {
    "BUY": "bought from other clients of the firm, which acted for both sides; at the reference price",
    "SELL": "sold to other clients of the firm, which acted for both sides; at the reference price",
}
_TIME_OFFER = "The time of the transaction is furnished upon request."
_REVOCATION = "YOU MAY REVOKE YOUR CONSENT TO SUCH TRANSACTIONS AT ANY TIME BY WRITTEN NOTICE."


@dataclass(slots=True)
class _Crossed:
    """An account's part of a cross."""

    allocation: Fact
    cross: Fact
    client: str
    consents: Sequence[str]
    undone: Fact | None

    @property
    def evidence(self) -> list[int]:
        facts = (self.allocation, self.cross, self.undone)
        return sorted(fact.index for fact in facts if fact is not None)

    @property
    def fees(self) -> Decimal:
        return Decimal(str(self.allocation.data["fees"]))


def _crossed(facts: Iterable[Fact]) -> list[_Crossed]:
    """Return every account's part of every cross, in the order of the log."""
    allocations: list[Fact] = []
    consents: dict[str, tuple[Fact, str, Sequence[str]]] = {}
    undone: dict[str, Fact] = {}
    for fact in facts:
        match fact.kind:
            case "execution.order.allocated":
                allocations.append(fact)
            case "execution.block.crossed":
                for order, _, client, versions in fact.data["consents"]:
                    consents[f"{fact.about('block')} {order}"] = (fact, client, versions)
            case "execution.block.uncrossed":
                undone[fact.about("block") or ""] = fact
    found: list[_Crossed] = []
    for each in allocations:
        block = each.about("block") or ""
        if (known := consents.get(f"{block} {each.about('order')}")) is not None:
            found.append(_Crossed(each, *known, undone.get(block)))
    return found


class CrossConfirmations:
    """What each client is sent at or before the completion of each cross."""

    name = "cross-confirmations"
    title = "Confirmation of each cross to each client"
    citation = f"{_RULE}(a)(2) and (4)"
    log = EVENTS
    kinds: Sequence[str] = _KINDS
    fields = (
        ReportField("client", "to whom it is sent: the household, else the account", f"{_RULE}(a)(2)"),
        ReportField("account", "the account", f"{_RULE}(a)(2)(i)"),
        ReportField("allocation_id", "which transaction", f"{_RULE}(a)(2)(i)"),
        ReportField("nature", "the nature of the transaction", f"{_RULE}(a)(2)(i)"),
        ReportField("instrument", "what was traded", f"{_RULE}(a)(2)(i)"),
        ReportField("side", "bought or sold", f"{_RULE}(a)(2)(i)"),
        ReportField("quantity", "units", f"{_RULE}(a)(2)(i)"),
        ReportField("price", "the price of a unit, the same for both sides", f"{_RULE}(a)(2)(i)"),
        ReportField("amount", "money that changes hands", f"{_RULE}(a)(2)(i)"),
        ReportField("currency", "in which currency", f"{_RULE}(a)(2)(i)"),
        ReportField("trade_date", "the date of the transaction", f"{_RULE}(a)(2)(ii)"),
        ReportField("time_offer", "the offer to furnish its time", f"{_RULE}(a)(2)(iii)"),
        ReportField("trade_time", "its time", f"{_RULE}(a)(2)(iii)"),
        ReportField("remuneration", "amount of any other remuneration", f"{_RULE}(a)(2)(iv)"),
        ReportField("remuneration_source", "its source", f"{_RULE}(a)(2)(iv)"),
        ReportField("completion_date", "when it is completed: by then the confirmation is sent", f"{_RULE}(a)(2)"),
        ReportField("consents", "policy versions by which the client consented", f"{_RULE}(a)(1)"),
        ReportField("revocation", "that the consent may be revoked", f"{_RULE}(a)(4)"),
        ReportField("undone_time", "when the cross was undone", f"{_RULE}(a)(2)(i)", required=False),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each account's part of each cross."""
        for each in _crossed(facts):
            data = each.allocation.data
            told = ("side", "quantity", "price", "amount", "currency", "trade_date", "allocation_id")
            values: dict[str, JsonValue] = {name: data[name] for name in told}
            values |= {
                "client": each.client,
                "account": each.allocation.about("account"),
                "nature": _NATURE[data["side"]],
                "instrument": each.allocation.about("instrument"),
                "time_offer": _TIME_OFFER,
                "trade_time": told_time(each.cross),
                "remuneration": plain(each.fees),
                "remuneration_source": "the client" if each.fees else "none",
                "completion_date": data["settlement_date"],
                "consents": list(each.consents),
                "revocation": _REVOCATION,
                "undone_time": None if each.undone is None else told_time(each.undone),
            }
            yield Row(values, each.evidence)


@dataclass(slots=True)
class _Year:
    """A client's crosses of a year: those that stand, those that were undone, and what was paid for the former."""

    accounts: set[str] = field(default_factory=set)
    standing: int = 0
    undone: int = 0
    paid: dict[str, Decimal] = field(default_factory=dict)
    evidence: set[int] = field(default_factory=set)


class CrossStatement:
    """What each client is sent at least once a year."""

    name = "cross-statement"
    title = "Yearly statement of crosses to each client"
    citation = f"{_RULE}(a)(3) and (4)"
    log = EVENTS
    kinds: Sequence[str] = _KINDS
    fields = (
        ReportField("client", "to whom it is sent: the household, else the account", f"{_RULE}(a)(3)"),
        ReportField("accounts", "the client's accounts with a cross", f"{_RULE}(a)(3)"),
        ReportField("year", "year of the trade dates", f"{_RULE}(a)(3)"),
        ReportField("transactions", "the total number of such transactions", f"{_RULE}(a)(3)"),
        ReportField("undone", "how many more were undone", f"{_RULE}(a)(3)"),
        ReportField("remuneration", "the total of commissions and other remuneration, by currency", f"{_RULE}(a)(3)"),
        ReportField("revocation", "that the consent may be revoked", f"{_RULE}(a)(4)"),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each client and year, by client."""
        found: dict[tuple[str, str], _Year] = {}
        for each in _crossed(facts):
            data = each.allocation.data
            year = found.setdefault((each.client, str(data["trade_date"])[:4]), _Year())
            year.accounts.add(each.allocation.about("account") or "")
            year.evidence |= set(each.evidence)
            if each.undone is not None:
                year.undone += 1
                continue
            year.standing += 1
            year.paid[data["currency"]] = year.paid.get(data["currency"], Decimal(0)) + each.fees
        for client, number in sorted(found):
            year = found[client, number]
            values: dict[str, JsonValue] = {
                "client": client,
                "accounts": sorted(year.accounts),
                "year": number,
                "transactions": year.standing,
                "undone": year.undone,
                "remuneration": {currency: plain(year.paid[currency]) for currency in sorted(year.paid)},
                "revocation": _REVOCATION,
            }
            yield Row(values, sorted(year.evidence))


CONFIRMATIONS = CrossConfirmations()
STATEMENT = CrossStatement()
