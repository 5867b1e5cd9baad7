"""Rules that look at how a document is taxed: rates, incomes, currencies and harvests that do not go together."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from services.kernel.decimals import plain
from services.kernel.money import Money
from services.policy.domain.document import FIELDS, Document
from services.policy.domain.lint.finding import Finding, warning

# EStG § 32d Abs. 1 Satz 1 and SolzG § 4: 25 % with 5.5 % of it on top; church tax only adds to it.
GERMAN_RATE_MIN = Decimal("0.26375")

# In which each country reckons its tax, ISO 4217: decision plans taxed accounts in it and refuses others.
TAX_CURRENCIES: Mapping[str, str] = {"CA": "CAD", "DE": "EUR", "GB": "GBP", "US": "USD"}


def rates_are_usual(document: Document) -> Iterator[Finding]:
    """Long-term gains are usually taxed no more than short-term gains."""
    short, long = document.tax.short_term_rate, document.tax.long_term_rate
    if short is not None and long is not None and long > short:
        yield warning(
            "LONG_RATE_ABOVE_SHORT",
            ("tax.short_term_rate", "tax.long_term_rate"),
            f"the long-term rate {plain(long)} is above the short-term rate {plain(short)}",
        )


def income_counts(document: Document) -> Iterator[Finding]:
    """An income is told where the law's rates of gains depend on it, and in the United States how a taxpayer files."""
    tax = document.tax
    if tax.taxable_income is not None and tax.jurisdiction not in (None, "GB", "US"):
        yield warning(
            "TAXABLE_INCOME_WITHOUT_EFFECT",
            ("tax.taxable_income", "tax.jurisdiction"),
            f"in {tax.jurisdiction} gains are planned at the policy's rates, whatever the income is",
        )
    if tax.jurisdiction == "US" and (tax.taxable_income is None) is not (tax.filing_status is None):
        told, other = ("filing_status", "taxable_income")[:: 1 if tax.taxable_income is None else -1]
        yield warning(
            "TAXABLE_INCOME_WITHOUT_EFFECT",
            (f"tax.{told}", f"tax.{other}"),
            f"gains are planned by brackets where tax.{other} is told too, else at the policy's rates",
        )
    if tax.jurisdiction not in (None, "US") and (tax.filing_status is not None or tax.state_rate is not None):
        yield warning(
            "FILING_STATUS_WITHOUT_EFFECT",
            ("tax.filing_status", "tax.state_rate", "tax.jurisdiction"),
            f"a filing status and a state's rate count in the United States only, not in {tax.jurisdiction}",
        )


def german_rate_is_whole(document: Document) -> Iterator[Finding]:
    """Germany's rate is the law's before partial exemption: that follows from what each fund is."""
    rate = document.tax.long_term_rate
    if document.tax.jurisdiction == "DE" and rate is not None and rate < GERMAN_RATE_MIN:
        yield warning(
            "GERMAN_RATE_EXEMPT",
            ("tax.long_term_rate", "tax.jurisdiction"),
            f"the rate {plain(rate)} is below the law's {plain(GERMAN_RATE_MIN)}: what of a fund's gain is exempt "
            "follows from its kind (Instrument.asset_kind), and would be exempt twice",
        )


def gains_are_worth_harvesting(document: Document) -> Iterator[Finding]:
    """What a gain without tax saves later counts, and no budget keeps it from being realised."""
    tax, room = document.tax, document.tax.gain_harvest_room
    if room is None or room.amount == 0:
        return
    if not tax.long_term_rate and tax.taxable_income is None:
        yield warning(
            "GAIN_HARVEST_SAVES_NOTHING",
            ("tax.gain_harvest_room", "tax.long_term_rate"),
            "without a long-term rate a gain that is realized now saves nothing later",
        )
    if tax.gain_harvest_importance == 0:
        yield warning(
            "GAIN_HARVEST_SAVES_NOTHING",
            ("tax.gain_harvest_room", "tax.gain_harvest_importance"),
            "with an importance of 0 no gain is realized for its own sake",
        )
    budgets = [("tax.gain_budget", tax.gain_budget), *(("tax.gain_budgets", each.amount) for each in tax.gain_budgets)]
    for path, budget in budgets:
        if budget is not None and budget.currency == room.currency and budget.amount < room.amount:
            yield warning(
                "GAIN_BUDGET_BELOW_ROOM",
                (path, "tax.gain_harvest_room"),
                f"no more than {budget} is realized, although {room} would not be taxed",
            )
            return


def amounts_are_of_the_country(document: Document) -> Iterator[Finding]:
    """Amounts are in the account's currency, and a taxed account is planned in its country's only."""
    country = document.tax.jurisdiction
    reckoned = TAX_CURRENCIES.get(country or "")
    for path, value in FIELDS.values(document).items():
        if isinstance(value, Money) and reckoned is not None and value.currency != reckoned:
            yield warning(
                "TAX_CURRENCY_OTHER",
                (path, "tax.jurisdiction"),
                f"an account in {value.currency} that is taxed is not planned by the law of {country}, which reckons "
                f"in {reckoned}",
            )
            return


TAX_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    rates_are_usual,
    income_counts,
    german_rate_is_whole,
    gains_are_worth_harvesting,
    amounts_are_of_the_country,
)
