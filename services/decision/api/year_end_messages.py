"""Taxpayers of a year-end from columns, and their year-ends to columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import numpy as np

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn
from evenkeel.decision.v1 import year_end_service_pb2 as pb
from evenkeel.decision.v1.tax_service_pb2 import UnitedStatesTaxpayer
from services.decision.api.tax_messages import Exchange
from services.decision.api.taxpayer_messages import CHURCH_RATES, STATUSES, germany_of_assets
from services.decision.app.year_ends import Answered, Named
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.filing import Filing, TaxpayerUnknown
from services.decision.domain.tax.laws import LAWS
from services.decision.domain.tax.year_end_table import Ints, LossColumns, Scaled, Words
from services.kernel.errors import Fact, Invalid, Violations
from services.kernel.ids import AccountId, HouseholdId
from services.runtime.wire import date_message, decimals_of

JURISDICTIONS: Mapping[str, str] = {"united_states": "US", "united_kingdom": "GB", "canada": "CA", "germany": "DE"}
_ONE = Decimal(1)
# Days of a column are counted from here.
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
UNKNOWN = UnitedStatesTaxpayer.FILING_STATUS_UNSPECIFIED


def named_of(message: pb.YearEndTaxpayers) -> tuple[str, Sequence[Named]]:
    """Return the country of a message's taxpayers, and each of them; what is wrong with one is that one's.

    Raises:
        Invalid: Columns are of different lengths, a row is none, or a rate cannot be.
    """
    law = message.WhichOneof("taxpayers") or ""
    count = len(message.taxpayer_ids)
    columns = _Columns(law, count)
    columns.check("household_ids", len(message.household_ids))
    owners = _owners(message, columns.found)
    rules = list(_RULES[law](message, columns))
    rates = Exchange.of(message.exchange_rates, LAWS[JURISDICTIONS[law]].currency).rates
    columns.found.raise_if_any()
    households = message.household_ids or [""] * count
    return JURISDICTIONS[law], [
        Named(
            message.taxpayer_ids[row],
            HouseholdId(households[row]) if households[row] else None,
            owned if isinstance(owned, Mapping) else {},
            owned if isinstance(owned, Fact) else columns.wrong.get(row, rules[row]),
            rates,
        )
        for row, owned in enumerate(owners)
    ]


def _owners(message: pb.YearEndTaxpayers, found: Violations) -> Sequence[Mapping[AccountId, Owner] | Fact]:
    count, rows = len(message.taxpayer_ids), len(message.account_ids)
    if len(message.account_taxpayers) != rows:
        said = f"must have one row for each of {rows} accounts, had {len(message.account_taxpayers)}"
        found.add("account_taxpayers", said)
    if len(message.account_affiliated) not in (0, rows):
        found.add(
            "account_affiliated",
            f"must have one row for each of {rows} accounts, had {len(message.account_affiliated)}",
        )
    before = 0
    for place, row in enumerate(message.account_taxpayers):
        if not before <= row < count:
            found.add(f"account_taxpayers[{place}]", f"must be {before} to {count - 1}, was {row}")
            break
        before = row
    owners: list[dict[AccountId, Owner]] = [{} for _ in range(count)]
    twice: dict[int, Fact] = {}
    if len(found):
        return owners
    affiliated = message.account_affiliated or [False] * rows
    for place, (row, name) in enumerate(zip(message.account_taxpayers, message.account_ids, strict=True)):
        if AccountId(name) in owners[row]:
            twice[row] = Invalid.of(f"account_ids[{place}]", f"must be unique, was {name!r} again")
        owners[row][AccountId(name)] = Owner.AFFILIATED if affiliated[place] else Owner.TAXPAYER
    return [twice.get(row, each) for row, each in enumerate(owners)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Reads columns of one row for each of `count` taxpayers; what is wrong with a row is kept by it, in `wrong`."""

    law: str
    count: int
    found: Violations = field(default_factory=Violations)
    wrong: dict[int, Fact] = field(default_factory=dict)

    def check(self, name: str, length: int) -> bool:
        """Note when a column is neither empty nor has a row for each; return whether it has."""
        if length not in (0, self.count):
            self.found.add(name, f"must have one row for each of {self.count} taxpayers, had {length}")
        return length == self.count

    def numbers(
        self, column: DecimalColumn, name: str, *, low: Decimal | None = ZERO, high: Decimal | None = None
    ) -> Sequence[Decimal]:
        """Return the numbers of a column, 0 for all when it is empty."""
        path = f"{self.law}.{name}"
        if not self.check(path, len(column.units)):
            return [ZERO] * self.count
        values = decimals_of(column, path)
        for row, value in enumerate(values):
            if low is not None and value < low:
                self.refuse(row, f"{path}[{row}]", f"must be {low} or more, was {value}")
            elif high is not None and value > high:
                self.refuse(row, f"{path}[{row}]", f"must be at most {high}, was {value}")
        return values

    def flags(self, values: Sequence[bool], name: str) -> Sequence[bool]:
        """Return the flags of a column, false for all when it is empty."""
        return values if self.check(f"{self.law}.{name}", len(values)) else [False] * self.count

    def refuse(self, row: int, path: str, description: str) -> None:
        """Keep what is wrong with a taxpayer, the first thing found."""
        self.wrong.setdefault(row, Invalid.of(path, description))


def _united_states(message: pb.YearEndTaxpayers, columns: _Columns) -> Iterator[TaxRules]:
    us = message.united_states
    given = columns.check("united_states.filing_statuses", len(us.filing_statuses))
    statuses = us.filing_statuses if given else [UNKNOWN] * columns.count
    facts = zip(
        columns.numbers(us.ordinary_incomes, "ordinary_incomes", low=None),
        columns.numbers(us.short_brought_forward, "short_brought_forward"),
        columns.numbers(us.long_brought_forward, "long_brought_forward"),
        columns.numbers(us.investment_incomes, "investment_incomes"),
        columns.numbers(us.state_rates, "state_rates", high=_ONE),
        strict=True,
    )
    for row, (status, each) in enumerate(zip(statuses, facts, strict=True)):
        if status not in STATUSES:
            path, description = f"united_states.filing_statuses[{row}]", f"must be a filing status, was {status}"
            unknown = TaxpayerUnknown.of(path, description)
            columns.wrong.setdefault(row, unknown)
        yield UnitedStatesYear(STATUSES.get(status, FilingStatus.SINGLE), *each)


def _united_kingdom(message: pb.YearEndTaxpayers, columns: _Columns) -> Iterator[TaxRules]:
    uk = message.united_kingdom
    incomes = columns.numbers(uk.taxable_incomes, "taxable_incomes")
    losses = columns.numbers(uk.losses_brought_forward, "losses_brought_forward")
    for income, loss in zip(incomes, losses, strict=True):
        yield UnitedKingdom(taxable_income=income, losses_brought_forward=loss)


def _canada(message: pb.YearEndTaxpayers, columns: _Columns) -> Iterator[TaxRules]:
    ca = message.canada
    rates = columns.numbers(ca.marginal_rates, "marginal_rates", high=_ONE)
    losses = columns.numbers(ca.net_losses_brought_forward, "net_losses_brought_forward")
    for rate, loss in zip(rates, losses, strict=True):
        yield Canada(marginal_rate=rate, net_losses_brought_forward=loss)


def _germany(message: pb.YearEndTaxpayers, columns: _Columns) -> Iterator[TaxRules]:
    de = message.germany
    rules = germany_of_assets(de)
    facts = zip(
        columns.flags(de.joint, "joint"),
        columns.numbers(de.church_rates, "church_rates"),
        columns.numbers(de.share_losses_brought_forward, "share_losses_brought_forward"),
        columns.numbers(de.other_losses_brought_forward, "other_losses_brought_forward"),
        strict=True,
    )
    for row, (joint, church_rate, shares, others) in enumerate(facts):
        if church_rate not in CHURCH_RATES:
            columns.refuse(row, f"germany.church_rates[{row}]", f"must be 0, 0.08 or 0.09, was {church_rate}")
        yield replace(
            rules,
            joint=joint,
            church_rate=church_rate,
            share_losses_brought_forward=shares,
            other_losses_brought_forward=others,
        )


_RULES: Mapping[str, Callable[[pb.YearEndTaxpayers, _Columns], Iterator[TaxRules]]] = {
    "united_states": _united_states,
    "united_kingdom": _united_kingdom,
    "canada": _canada,
    "germany": _germany,
}


def year_ends_message(jurisdiction: str, filing: Filing, answered: Answered) -> pb.StreamYearEndsResponse:
    """Return the answer for some taxpayers of one country; what is done so far is the caller's to say."""
    table = answered.table
    return pb.StreamYearEndsResponse(
        jurisdiction=jurisdiction,
        currency_code=LAWS[jurisdiction].currency,
        law_version=filing.law.version(jurisdiction, filing.tax_year),
        as_of_date=date_message(filing.day),
        taxpayer_ids=[answered.named[place].taxpayer_id for place in table.places.tolist()],
        lines=[
            pb.YearEndLine(name=name, source=source, amounts=_numbers(amounts))
            for (name, source), amounts in zip(table.lines, table.amounts, strict=True)
        ],
        permanently_lost=_numbers(table.permanently_lost),
        harvest_savings=_numbers(table.savings),
        differences=table.differences.tolist(),
        compiled=table.compiled.tolist(),
        losses=_losses(table.losses, filing.day),
        windows=pb.YearEndWindows(
            taxpayers=table.windows.rows.tolist(),
            instrument_ids=_words(table.windows.assets),
            open_dates=_days(table.windows.open_days),
        ),
        reviews=[pb.YearEndReview(taxpayer=row, sentence=sentence) for row, sentence in table.reviews],
        refusals=[
            refusal_message(answered.named[place].taxpayer_id, fact) for place, fact in sorted(answered.refused.items())
        ],
    )


def refusal_message(taxpayer_id: str, fact: Fact, account_id: str = "") -> pb.YearEndRefusal:
    """Return who cannot be assessed, and why not."""
    violations = fact.violations if isinstance(fact, Invalid) else ()
    return pb.YearEndRefusal(
        taxpayer_id=taxpayer_id,
        account_id=account_id or str(fact.facts.get("account_id", "")),
        reason=fact.reason,
        field=violations[0].field if violations else "",
        description=fact.message,
    )


def _losses(losses: LossColumns, day: date) -> pb.YearEndLosses:
    return pb.YearEndLosses(
        taxpayers=losses.rows.tolist(),
        account_ids=_words(losses.accounts),
        instrument_ids=_words(losses.assets),
        lot_ids=losses.lots,
        quantities=_numbers(losses.units),
        losses=_numbers(losses.losses),
        free_dates=_days(np.where(losses.free_days == 0, day.toordinal(), losses.free_days)),
    )


def _numbers(column: Scaled) -> DecimalColumn:
    return DecimalColumn(units=column.units.tolist(), scale=column.places)


def _words(column: Words) -> WordColumn:
    used = column.used()
    return WordColumn(words=used.words, indexes=used.indexes.tolist())


def _days(ordinals: Ints) -> DateColumn:
    return DateColumn(days=(ordinals - EPOCH_ORDINAL).tolist())
