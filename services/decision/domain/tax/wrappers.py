"""What does money cost that leaves a wrapper? Each country's wrappers, by how the book says that their gains are taxed.

Sources:
    United States, traditional IRA: what comes out is income (26 U.S.C. § 408(d)(1)) but for the part that contributions
    from taxed income bear (§ 72(e)(8)); before the owner is 59½, 10 % of that income more (§ 72(t)(1), (2)(A)(i)).
    Roth IRA: contributions come out first and untaxed (§ 408A(d)(4)(B)); what was earned is untaxed once five tax
    years have passed and the owner is 59½ (§ 408A(d)(2)), else it is income, before 59½ with the 10 %. Conversions
    are in `converting.py`; the other exceptions of § 72(t)(2) are left out.
    United Kingdom, ISA: nothing (ITTOIA 2005 s. 694). SIPP: of an uncrystallised funds pension lump sum a quarter is
    untaxed up to the lump sum allowance (ITEPA 2003 s. 637D, s. 637Q, as substituted by Finance Act 2024 Sch. 9
    para. 41; 268,275), the rest is income (s. 579A); before the minimum pension age (Finance Act 2004 s. 279(1): 55,
    from 6 April 2028 57, Finance Act 2022 s. 10) 40 % of it are charged instead (Finance Act 2004 s. 208(5)), and 15 %
    more (s. 209(6)) once a quarter of the rights left within twelve months (s. 210(2), (7)).
    Canada, RRSP: all of it is income (ITA s. 146(8)); TFSA: nothing (ITA s. 146.2(6)).
    Germany's tax knows no wrapper here.

Our readings: of an owner whose age nobody told it is taken that the age is not reached, and of a wrapper whose
contributions or first year nobody told that there were none, so that the tax is rather too high than too low. For the
same reason the 15 % are always charged: what left a SIPP in the months before is not told.
"""

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.book import TaxWrapper
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import cents, part
from services.decision.domain.tax.dated import in_force

# 26 U.S.C. § 72(t)(1).
EARLY_RATE = Decimal("0.10")
# § 408A(d)(2)(B): of the taxable years from the first contribution on.
ROTH_YEARS = 5
# ITEPA 2003 s. 637D(1), and s. 637Q with Finance Act 2024 Sch. 9 para. 41.
TAX_FREE_PART, LUMP_SUM_ALLOWANCE = Decimal("0.25"), Decimal("268275")
# Finance Act 2004 s. 208(5) and s. 209(6).
UNAUTHORISED_RATE = Decimal("0.55")
# Finance Act 2004 s. 279(1): the minimum pension age from a day on.
PENSION_AGES = {date.min: 55, date(2028, 4, 6): 57}


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An account in a wrapper.

    Attributes:
        value: Of all that is in it, 0 or more.
        contributions: What was paid in from taxed income and has not come out, 0 or more.
        first_year: Tax year of the first contribution; None where nobody said.
    """

    account_id: str
    kind: TaxWrapper
    value: Decimal
    contributions: Decimal = ZERO
    first_year: int | None = None


@dataclass(frozen=True, slots=True)
class Saver:
    """Whose wrappers they are.

    Attributes:
        birth_date: None where nobody said.
        tax_free_used: United Kingdom: of the lump sum allowance, 0 or more.
    """

    birth_date: date | None = None
    tax_free_used: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Drawn:
    """What comes of money that leaves a wrapper.

    Attributes:
        income: What of it is taxed as income, 0 or more.
        charge: What is charged beside the tax on income, 0 or more.
        left: The wrapper afterwards.
        saver: Its owner afterwards: what was used of an allowance is used.
    """

    wrapped: Wrapped
    amount: Decimal
    income: Decimal
    charge: Decimal
    left: Wrapped
    saver: Saver
    source: str


@dataclass(frozen=True, slots=True)
class WrapperLaw:
    """One wrapper: its name, whether the owner's age matters, and what comes of money that leaves it on a day."""

    name: str
    asks_age: bool
    drawn: Callable[[Wrapped, Decimal, Saver, date], Drawn]


def wrapper_law(code: str, kind: TaxWrapper) -> WrapperLaw | None:
    """Return the law of a country's wrapper; None where it knows none."""
    return WRAPPERS.get((code, kind))


def _left(wrapped: Wrapped, amount: Decimal, contributions: Decimal = ZERO) -> Wrapped:
    paid_in = max(wrapped.contributions - contributions, ZERO)
    return replace(wrapped, value=wrapped.value - amount, contributions=paid_in)


def _traditional(wrapped: Wrapped, amount: Decimal, saver: Saver, day: date) -> Drawn:
    basis = part(min(wrapped.contributions, wrapped.value), Fraction(amount), Fraction(wrapped.value))
    income = amount - basis
    young = early(saver, day)
    source = "26 U.S.C. § 408(d)(1), § 72(t)" if young else "26 U.S.C. § 408(d)(1)"
    charge = _share(income, EARLY_RATE) if young else ZERO
    return Drawn(wrapped, amount, income, charge, _left(wrapped, amount, basis), saver, source)


def _roth(wrapped: Wrapped, amount: Decimal, saver: Saver, day: date) -> Drawn:
    old, left = not early(saver, day), _left(wrapped, amount, amount)
    if old and wrapped.first_year is not None and day.year >= wrapped.first_year + ROTH_YEARS:
        return Drawn(wrapped, amount, ZERO, ZERO, left, saver, "26 U.S.C. § 408A(d)(1), (2)")
    income = max(amount - wrapped.contributions, ZERO)
    charge = ZERO if old else _share(income, EARLY_RATE)
    return Drawn(wrapped, amount, income, charge, left, saver, "26 U.S.C. § 408A(d)(4)(B), § 72(t)")


def _untaxed(source: str) -> Callable[[Wrapped, Decimal, Saver, date], Drawn]:
    return lambda wrapped, amount, saver, _: Drawn(wrapped, amount, ZERO, ZERO, _left(wrapped, amount), saver, source)


def _pension(wrapped: Wrapped, amount: Decimal, saver: Saver, day: date) -> Drawn:
    age, left = in_force(PENSION_AGES, day), _left(wrapped, amount)
    if not _reached(saver, day, age, 0):
        charge = _share(amount, UNAUTHORISED_RATE)
        return Drawn(wrapped, amount, ZERO, charge, left, saver, "Finance Act 2004 s. 208, s. 209")
    free = min(_share(amount, TAX_FREE_PART), max(LUMP_SUM_ALLOWANCE - saver.tax_free_used, ZERO))
    after = replace(saver, tax_free_used=saver.tax_free_used + free)
    return Drawn(wrapped, amount, amount - free, ZERO, left, after, "ITEPA 2003 s. 637D, s. 579A")


def _registered(wrapped: Wrapped, amount: Decimal, saver: Saver, _: date) -> Drawn:
    return Drawn(wrapped, amount, amount, ZERO, _left(wrapped, amount), saver, "ITA s. 146(8)")


WRAPPERS: Mapping[tuple[str, TaxWrapper], WrapperLaw] = {
    ("US", TaxWrapper.DEFERRED): WrapperLaw("traditional IRA", True, _traditional),
    ("US", TaxWrapper.EXEMPT): WrapperLaw("Roth IRA", True, _roth),
    ("GB", TaxWrapper.DEFERRED): WrapperLaw("SIPP", True, _pension),
    ("GB", TaxWrapper.EXEMPT): WrapperLaw("ISA", False, _untaxed("ITTOIA 2005 s. 694")),
    ("CA", TaxWrapper.DEFERRED): WrapperLaw("RRSP", False, _registered),
    ("CA", TaxWrapper.EXEMPT): WrapperLaw("TFSA", False, _untaxed("ITA s. 146.2(6)")),
}


def _share(amount: Decimal, rate: Decimal) -> Decimal:
    return cents(Fraction(amount) * Fraction(rate))


def early(saver: Saver, day: date) -> bool:
    """Return whether the owner is younger than 59½ on a day (26 U.S.C. § 72(t)(2)(A)(i))."""
    return not _reached(saver, day, 59, 6)


def _reached(saver: Saver, day: date, years: int, months: int) -> bool:
    """Return whether the owner has an age on a day; not where nobody told it."""
    if saver.birth_date is None:
        return False
    born = saver.birth_date
    month = born.month + months
    year, month = born.year + years + (month - 1) // 12, (month - 1) % 12 + 1
    return day >= date(year, month, min(born.day, calendar.monthrange(year, month)[1]))
