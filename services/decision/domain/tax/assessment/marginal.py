"""What one more unit of gain or of loss would change in the year's tax, everything netted with everything."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.tax.assessment.results import Assessment, TaxRules, Term, gain_on

# Taxes are in whole cents: over so many units of currency a rate shows to four places.
STEP = Decimal(100)
# Where rates depend on the term of the holding.
_TERMS = {"US": (Term.SHORT, Term.LONG)}


@dataclass(frozen=True, slots=True)
class Marginal:
    """Tax per unit of currency of the next `STEP` of gain, and tax saved by the next `STEP` of loss."""

    term: Term
    gain_rate: Decimal
    loss_rate: Decimal


def marginals(rules: TaxRules, assessment: Assessment) -> tuple[Marginal, ...]:
    """Return the marginal rates of the assessed year, one for each term."""
    tax = assessment.lines[-1].amount

    def rate(amount: Decimal, term: Term) -> Decimal:
        changed = rules.tax_with(assessment, (gain_on(assessment.last_date, amount, term),)) - tax
        return Decimal(round(Fraction(changed) / Fraction(amount) * 10_000)).scaleb(-4)

    return tuple(
        Marginal(term, rate(STEP, term), rate(-STEP, term)) for term in _TERMS.get(assessment.jurisdiction, (Term.ANY,))
    )
