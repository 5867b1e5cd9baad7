"""Every country whose law is here: its rules for choosing trades, its rules for assessing a year, and its amounts.

Amounts of law are dated data. A release brings those of the years that were reviewed when it was made. A change of law,
or a year to come, is a version that one person proposes and another approves: it then counts for its own year, and the
versions before stay on record, so that any old assessment can be made again by the law as it was approved then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from services.decision.domain.tax import JURISDICTIONS, Jurisdiction
from services.decision.domain.tax.assessment import canadian_years, german_years, uk_years, us_years
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.law_table import LawTable, Years, check_amounts
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.kernel.errors import Denied, FieldViolation, Invalid, NotFound, Rejected, Violations


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one country.

    Attributes:
        code: ISO 3166-1.
        currency: In which its tax is reckoned, ISO 4217.
        planning: What choosing trades needs.
        assessing: What a year comes to, for a taxpayer of whom nothing is known.
        table: Its amounts, as released.
        by_settlement: Whether a trade counts on the day on which it settles, and not when it is made.
    """

    code: str
    currency: str
    planning: Jurisdiction
    assessing: TaxRules
    table: LawTable[Any]
    by_settlement: bool = False


# CRA document 2012-0468931C6, as IT-133 said before: shares are disposed of on the exchange's settlement date.
_BY_SETTLEMENT = frozenset({"CA"})

LAWS: dict[str, Law] = {
    code: Law(code, currency, JURISDICTIONS[code], assessing, table, code in _BY_SETTLEMENT)
    for code, currency, assessing, table in (
        ("CA", "CAD", Canada(), canadian_years.TABLE),
        ("DE", "EUR", Germany(), german_years.TABLE),
        ("GB", "GBP", UnitedKingdom(), uk_years.TABLE),
        ("US", "USD", UnitedStatesYear(), us_years.TABLE),
    )
}

# An account is taken to be taxed in the country of its currency, where no policy says otherwise.
LAW_OF_CURRENCY: Mapping[str, Law] = {law.currency: law for law in LAWS.values()}


class CurrencyWithoutRate(Invalid):
    """An account is kept in another currency than the law reckons in, and nobody said the rates of its days."""

    reason = "TAX_RATE_MISSING"


def check_currencies(code: str, currencies: Mapping[str, str]) -> None:
    """Refuse accounts that are kept in another currency than the country's law reckons in.

    Args:
        code: The country.
        currencies: By account id.

    Raises:
        CurrencyWithoutRate: One is.
    """
    currency = LAWS[code].currency
    for account_id, kept in sorted(currencies.items()):
        if kept != currency:
            description = f"must be kept in {currency}, or the rates of its days be known, was in {kept}"
            raise CurrencyWithoutRate(
                f"account {account_id} {description}",
                violations=[FieldViolation("account_id", description)],
                account_id=account_id,
            )


def check_planned(code: str, account_id: str, kept: str) -> None:
    """Refuse to plan a taxed account that is kept in another currency than the country's law reckons in.

    What a change of the rate adds to a gain since the purchase is taxed too, and the law's amounts are in its currency.

    Args:
        code: The country by whose law the account's policy plans.
        account_id: Of the account.
        kept: Its currency.

    Raises:
        CurrencyWithoutRate: It is another.
    """
    currency = LAWS[code].currency
    if kept != currency:
        description = f"must be {currency}, in which the tax of {code} is reckoned, was {kept}"
        said = f"is kept in {kept} and taxed in {code}, in {currency}: plans know no rates of its days"
        raise CurrencyWithoutRate(
            f"account {account_id} {said}",
            violations=[FieldViolation("account.currency", description)],
            account_id=account_id,
        )


class LawNotFound(NotFound):
    """The tax year's law has no such version."""

    reason = "TAX_LAW_NOT_FOUND"


class LawReviewed(Rejected):
    """Somebody approved or rejected the version already."""

    reason = "TAX_LAW_REVIEWED"


class LawAuthor(Denied):
    """Whoever proposed a version cannot review it."""

    reason = "TAX_LAW_AUTHOR"


class LawState(StrEnum):
    """Where a version is in its life."""

    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class LawVersion:
    """A version of the amounts of one country and tax year.

    Attributes:
        version: From 1 in each country and year; 0 is the release's own.
        amounts: By the names of the country's table.
        source: Where they stand.
        author: Who proposed it; empty for the release's own.
    """

    jurisdiction: str
    tax_year: int
    version: int
    state: LawState
    amounts: Mapping[str, Decimal]
    source: str
    author: str = ""
    propose_time: datetime | None = None
    reviewer: str = ""
    review_time: datetime | None = None
    review_note: str = ""


@dataclass(frozen=True, slots=True)
class LawHorizon:
    """Until when the taxed accounts of a country are planned.

    Attributes:
        last_date: The last day of the tax years in a row that were reviewed; before today where this one was not.
        tax_year: The one after it, whose law is to be proposed and approved.
    """

    jurisdiction: str
    last_date: date
    tax_year: int

    def days_left(self, today: date) -> int:
        """Return how many days, today included, are planned yet; 0 and less for none."""
        return (self.last_date - today).days + 1


@dataclass(frozen=True, slots=True)
class LawBook:
    """What is in force: of each country the amounts by tax year, and the version of each year that is not 0."""

    years: Mapping[str, Years]
    versions: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def under(self, rules: TaxRules) -> TaxRules:
        """Return the rules with the amounts in force."""
        return rules.with_years(self.years[rules.code])

    def version(self, jurisdiction: str, tax_year: int) -> int:
        """Return which version of a year is in force; 0 is the release's own."""
        return self.versions.get((jurisdiction, tax_year), 0)

    def reviewed_years(self) -> Mapping[str, tuple[int, ...]]:
        """Return the years in force that the release does not have, by country; absent where there are none."""
        found = {
            code: tuple(sorted(years.keys() - LAWS[code].table.years.keys())) for code, years in self.years.items()
        }
        return {code: years for code, years in found.items() if years}

    def horizons(self, today: date) -> tuple[LawHorizon, ...]:
        """Return until when taxed accounts are planned, by country."""
        since = self.reviewed_years()
        found: list[LawHorizon] = []
        for code, law in sorted(LAWS.items()):
            rules, year = law.planning, law.planning.tax_year(today)
            while rules.first_year <= year <= rules.last_year or year in since.get(code, ()):
                year += 1
            found.append(LawHorizon(code, law.table.first_date(year) - timedelta(days=1), year))
        return tuple(found)

    def approved_amounts(self) -> Mapping[str, Mapping[str, Decimal]]:
        """Return the amounts of the versions in force that are not the release's own, each as `GB 2027`."""
        return {
            f"{code} {year}": LAWS[code].table.amounts(self.years[code][year]) for code, year in sorted(self.versions)
        }


def law_book(versions: Iterable[LawVersion], at: datetime | None = None) -> LawBook:
    """Return what is in force by the release and the approved versions, those approved until `at` when it is given."""
    years = {code: dict(law.table.years) for code, law in LAWS.items()}
    newest: dict[tuple[str, int], int] = {}
    for each in sorted(versions, key=lambda one: one.version):
        late = at is not None and each.review_time is not None and each.review_time > at
        if each.state is LawState.APPROVED and not late:
            years[each.jurisdiction][each.tax_year] = LAWS[each.jurisdiction].table.year(each.amounts)
            newest[each.jurisdiction, each.tax_year] = each.version
    return LawBook(years, newest)


def released(law: Law) -> tuple[LawVersion, ...]:
    """Return the release's own versions of a country, by year."""
    return tuple(
        LawVersion(law.code, year, 0, LawState.APPROVED, law.table.amounts(law.table.years[year]), "this release")
        for year in sorted(law.table.years)
    )


def proposed_amounts(law: Law, tax_year: int, changes: Mapping[str, Decimal], book: LawBook) -> Mapping[str, Decimal]:
    """Return every amount of a proposed version: `changes`, and else those in force for the year or the year before.

    Raises:
        Invalid: The year does not follow those in force, or an amount cannot be.
    """
    years, found = book.years[law.code], Violations()
    first, next_year = min(years), max(years) + 1
    if not first <= tax_year <= next_year:
        found.add("tax_year", f"must be {first} to {next_year} for {law.code}, was {tax_year}")
        found.raise_if_any()
    before = law.table.amounts(years[tax_year] if tax_year in years else years[next_year - 1])
    if tax_year not in years:
        # A rate that changed within the year before begins the next one as it ended.
        before = _as_it_ended(before)
    amounts = {**before, **changes}
    check_amounts(law.table, tax_year, amounts, found)
    found.raise_if_any()
    return amounts


def _as_it_ended(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    ended: dict[str, Decimal] = {}
    for name in sorted(amounts):
        ended[name.partition("@")[0]] = amounts[name]
    return ended


def reviewed(version: LawVersion, reviewer: str, at: datetime, *, approved: bool, note: str) -> LawVersion:
    """Return the version as its reviewer decided.

    Raises:
        LawReviewed: Somebody decided before.
        LawAuthor: The reviewer proposed it.
    """
    name = f"version {version.version} of {version.jurisdiction} {version.tax_year}"
    if version.state is not LawState.PROPOSED:
        raise LawReviewed(f"{name} was {version.state.lower()} by {version.reviewer}", state=version.state.value)
    if reviewer == version.author:
        raise LawAuthor(f"{name} was proposed by {reviewer}, who cannot review it", author=reviewer)
    return LawVersion(
        version.jurisdiction,
        version.tax_year,
        version.version,
        LawState.APPROVED if approved else LawState.REJECTED,
        version.amounts,
        version.source,
        version.author,
        version.propose_time,
        reviewer,
        at,
        note,
    )


def years_of(versions: Sequence[LawVersion]) -> tuple[LawVersion, ...]:
    """Return the release's versions and those given, by country, year and version."""
    every = [*(each for law in LAWS.values() for each in released(law)), *versions]
    return tuple(sorted(every, key=lambda each: (each.jurisdiction, each.tax_year, each.version)))
