"""Is it better to give lots away, or to sell, pay the tax and give the money?

Both ways give the same worth today. Compared is what giver and receiver have after tax at the end of some years, where
everything is sold: what the gift saves of the tax on its gain, what is deducted for it, and what of the gain the
receiver takes over.

Sources:
    To a charity in the United States: no gain (26 U.S.C. § 170(e) with § 1001); of a long-term lot the worth is
    deducted (§ 170(e)(1)(A) reduces it by what would not be long-term gain), at most 30 % of adjusted gross income
    (§ 170(b)(1)(C)(i)); of money up to 60 % (§ 170(b)(1)(G), since 2018 by Public Law 115-97 § 11023, for good by
    Public Law 119-21 § 70425(b)(1)). What is above the limit is carried for five years (§ 170(d)(1), (b)(1)(C)(ii)).
    From 2026 on (§ 70425(c)) only what exceeds 0.5 % of adjusted gross income counts (§ 170(b)(1)(I)); what does not is
    carried with what is above the limit, and lost where nothing is (§ 170(d)(1)(C)). Our reading: that holds for the
    year of the gift alone, not for those to which it is carried. Of income in the highest bracket two of 37 parts are
    not saved (§ 68). The limits of 100 % for money in 2020 (Public Law 116-136 § 2205) and 2021 (Public Law 116-260,
    Division EE § 213) needed an election and are left out, and so is what people who do not itemize deduct (§ 170(p)).
    To a person in the United States: no income of the receiver's (§ 102(a)); cost and time of the giver's, for a loss
    at most the worth (§ 1015(a)), so that a loss is rather realized and the money given; up to the annual exclusion
    (§ 2503(b)) nothing is reported.
    Elsewhere the gift is judged by the country's exact rules (`assessment/settling.py`); relief for it from the tax on
    income is left out, which in the United Kingdom (ITA 2007 s. 414, s. 431) and Canada (ITA s. 118.1) is of the worth
    either way, and in Germany of the cost alone when lots are given: of what would be taxed if it were sold, more than
    the cost counts only as far as a gain was realized (EStG § 10b Abs. 3 Satz 3 and 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Gift, Giver, History, Recipient, cents, total
from services.decision.domain.tax.assessment.results import Term, check_year
from services.decision.domain.tax.assessment.settling import SETTLING, SettlingLaw
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.dated import in_force
from services.decision.domain.tax.income import counted_income, deduction_saves
from services.decision.domain.tax.projection import Projected, Scenario, all_projected
from services.decision.domain.tax.raising import Raiser
from services.decision.domain.tax.situation import Explained, Parcel, Situation, part_of

GIVEN = "given:"
# § 170(d)(1): for how many years more what was above the limit is deducted.
CARRIED_YEARS = 5
# § 170(b)(1)(C)(i) and (G): the most of adjusted gross income that is deducted, of lots and of money.
LOTS_LIMIT, MONEY_LIMIT = Decimal("0.30"), Decimal("0.60")
# § 170(b)(1)(I) and § 68 as of Public Law 119-21 § 70425 and § 70111: from 2026 on.
FLOORS = {2018: ZERO, 2026: Decimal("0.005")}
UNSAVED_PARTS = {2018: Fraction(0), 2026: Fraction(2, 37)}
# § 2503(b)(2) as adjusted, by Rev. Proc. 2017-58 and the procedures of `us_years.py` (Rev. Proc. 2022-38 as Carter
# Ledyard & Milburn report it): what may be given to one person in a year before anything is reported.
ANNUAL_EXCLUSIONS = {
    2018: 15_000,
    2019: 15_000,
    2020: 15_000,
    2021: 15_000,
    2022: 16_000,
    2023: 17_000,
    2024: 18_000,
    2025: 19_000,
    2026: 19_000,
}


class GiftWay(StrEnum):
    """How a worth is given."""

    GIVE_LOTS = "GIVE_LOTS"
    SELL_AND_GIVE = "SELL_AND_GIVE"


@dataclass(frozen=True, slots=True)
class GiftWish:
    """What is to be given.

    Attributes:
        amount: Worth, above 0.
        recipient: A person or a charity.
        gross_income: United States: adjusted gross income of the year without these gains; None where nobody said, then
            it is the other taxable income, which is less.
        itemized: United States: whether gifts to charity are deducted.
        receiver_rate: At which a person's gains on what was received are taxed, 0 to 1.
    """

    amount: Decimal
    recipient: Recipient
    gross_income: Decimal | None = None
    itemized: bool = False
    receiver_rate: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Giving:
    """One way to give, and what comes of it.

    Attributes:
        parcels: What is given, or sold for it.
        value: What is given, today.
        tax: On gains, added to this year's.
        deducted: This year; 0 where nothing is deducted.
        carried: Above the limit, for the next years.
        saved: This year's tax that the deduction saves, 0 or more.
        reportable: United States, to a person: what is above the year's exclusion.
        projected: What is left to the giver, in each scenario; what later years save by what was carried is in it.
        received: What a person has of the gift after tax, in each scenario; of a charity its worth.
        advantage: Of giver and receiver together over selling and giving the money, in each scenario.
    """

    way: GiftWay
    parcels: tuple[Parcel, ...]
    value: Decimal
    tax: Decimal
    deducted: Decimal
    carried: Decimal
    saved: Decimal
    reportable: Decimal
    projected: tuple[Projected, ...]
    received: tuple[Decimal, ...]
    advantage: tuple[Decimal, ...]
    source: str
    sentence: str


def givings(
    situation: Situation, explained: Sequence[Explained], wish: GiftWish, scenarios: Sequence[Scenario]
) -> tuple[Giving, ...]:
    """Return both ways to give, the better in the first scenario first; none where no lot with a gain can be given.

    The worth that is compared is what the lots that are given are worth: at most what is wished.

    Raises:
        TaxYearUnknown: The amounts of the year are not known.
    """
    law = SETTLING[situation.rules.code]
    chosen = _chosen(explained, wish)
    value = total(each.value for each in chosen)
    if value <= 0:
        return ()
    sold = Raiser.of(situation, explained).least_tax(value)
    case = _Case(situation, wish, law, tuple(scenarios), value)
    money = case.made(GiftWay.SELL_AND_GIVE, sold, situation.with_sales(sold))
    lots = case.made(GiftWay.GIVE_LOTS, chosen, _with_gifts(situation, chosen, wish.recipient))
    both = [_compared(each, money) for each in (lots, money)]
    return tuple(sorted(both, key=lambda each: -each.advantage[0]))


def _chosen(explained: Sequence[Explained], wish: GiftWish) -> tuple[Parcel, ...]:
    """Return the lots to give, parts of the last: those first whose gain avoids most tax for their worth.

    A charity gets no short-term lot, of which the law deducts the cost alone, and nobody one with a loss.
    """

    def worth_giving(each: Explained) -> Fraction:
        taken_over = wish.receiver_rate if wish.recipient is Recipient.PERSON else ZERO
        spared = Fraction(each.tax) - Fraction(taken_over) * Fraction(each.parcel.gain)
        return spared / Fraction(each.parcel.value)

    fit = [
        each
        for each in explained
        if each.parcel.gain > 0 and not (wish.recipient is Recipient.CHARITY and each.term is Term.SHORT)
    ]
    chosen: list[Parcel] = []
    left = wish.amount
    for each in sorted(fit, key=lambda one: (-worth_giving(one), one.parcel.asset, one.parcel.lot_id or "")):
        if left <= 0:
            break
        chosen.append(each.parcel if each.parcel.value <= left else part_of(each.parcel, left))
        left = total((left, chosen[-1].value.copy_negate()))
    return tuple(chosen)


def _with_gifts(situation: Situation, parcels: Sequence[Parcel], recipient: Recipient) -> Situation:
    gifts = tuple(
        Gift(
            f"{GIVEN}{number}", situation.today, each.account_id, each.asset, each.quantity, each.value, recipient,
            () if each.lot_id is None else (each.lot_id,),
        )
        for number, each in enumerate(parcels)
    )  # fmt: skip
    return replace(situation, history=situation.rules.settled(replace(situation.history, gifts=gifts)))


@dataclass(frozen=True, slots=True)
class _Deduction:
    """What is deducted in a year, and what that saves."""

    allowed: Decimal = ZERO
    saved: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class _Case:
    """A worth that is given, and the ways to give it are judged alike."""

    situation: Situation
    wish: GiftWish
    law: SettlingLaw
    scenarios: tuple[Scenario, ...]
    value: Decimal

    def made(self, way: GiftWay, parcels: tuple[Parcel, ...], after: Situation) -> Giving:
        """Return what comes of one way; `advantage` is that over nothing yet."""
        deductions = self._deductions(way, after)
        made = Giving(
            way=way,
            parcels=parcels,
            value=self.value,
            tax=total((after.tax, self.situation.tax.copy_negate())),
            deducted=deductions[0].allowed,
            carried=total(each.allowed for each in deductions[1:]),
            saved=deductions[0].saved,
            reportable=self._reportable(),
            projected=tuple(_less(one, deductions) for one in all_projected(after, self.scenarios)),
            received=tuple(self._received(way, parcels, each) for each in self.scenarios),
            advantage=(),
            source=self.law.gifts[self.wish.recipient].source if way is GiftWay.GIVE_LOTS else "",
            sentence="",
        )
        return replace(made, sentence=_told(made))

    def _deductions(self, way: GiftWay, after: Situation) -> tuple[_Deduction, ...]:
        """Return what is deducted this year and in each year to which some of it is carried, by this year's law."""
        rules, year = self.situation.rules, after.tax_year
        deducts = self.wish.recipient is Recipient.CHARITY and self.wish.itemized
        if not isinstance(rules, UnitedStatesYear) or not deducts:
            return (_Deduction(),)
        said = rules.ordinary_income if self.wish.gross_income is None else self.wish.gross_income
        plain = replace(rules, short_brought_forward=ZERO, long_brought_forward=ZERO)
        this, later = (rules, after.assessment), (plain, plain.assess(History(()), year))
        limit = LOTS_LIMIT if way is GiftWay.GIVE_LOTS else MONEY_LIMIT
        made: list[_Deduction] = []
        left = self.value
        for then, assessment in (this, *(later,) * CARRIED_YEARS):
            income = counted_income(then, assessment)
            gross = Fraction(max(said + income - then.ordinary_income, ZERO))
            taken = min(left, cents(gross * Fraction(limit)))
            floored = min(taken, cents(gross * Fraction(in_force(FLOORS, year))))
            allowed = taken - floored
            over = max(income - then.years[year][then.filing_status].ordinary_tops[-1], ZERO)
            unsaved = cents(Fraction(min(allowed, over)) * in_force(UNSAVED_PARTS, year))
            made.append(_Deduction(allowed, deduction_saves(then, assessment, allowed - unsaved)))
            left = total((left, taken.copy_negate()))
            if left <= 0:
                break
            if len(made) == 1:  # § 170(d)(1)(C).
                left = total((left, floored))
        return tuple(made)

    def _reportable(self) -> Decimal:
        if self.situation.rules.code != "US" or self.wish.recipient is not Recipient.PERSON:
            return ZERO
        year = self.situation.tax_year
        check_year("US", year, ANNUAL_EXCLUSIONS)
        return max(self.value - ANNUAL_EXCLUSIONS[year], ZERO)

    def _received(self, way: GiftWay, parcels: Sequence[Parcel], scenario: Scenario) -> Decimal:
        """Return what the receiver has after tax at the end."""
        worth = Fraction(self.value) * Fraction(1 + scenario.growth) ** scenario.years
        if self.wish.recipient is Recipient.CHARITY:
            return cents(worth)
        takes_over = way is GiftWay.GIVE_LOTS and not self.law.receipts[Giver.PERSON].at_value
        basis = Fraction(total(each.cost for each in parcels) if takes_over else self.value)
        return cents(worth - Fraction(self.wish.receiver_rate) * max(worth - basis, Fraction(0)))


def _less(projected: Projected, deductions: Sequence[_Deduction]) -> Projected:
    """Return what is left when deductions save tax at the end of their years, which grows as the assets do."""
    scenario = projected.scenario
    growth = Fraction(1 + scenario.growth)
    saved = cents(
        sum(
            (
                Fraction(each.saved) * growth ** (scenario.years - number)
                for number, each in enumerate(deductions[: 1 + scenario.years])
            ),
            Fraction(0),
        )
    )
    taxes = total((projected.taxes, saved.copy_negate()))
    return replace(projected, taxes=taxes, after_tax=total((projected.after_tax, saved)))


def _compared(each: Giving, money: Giving) -> Giving:
    return replace(
        each,
        advantage=tuple(
            total((mine.after_tax, mine_given, -other.after_tax, -other_given))
            for mine, mine_given, other, other_given in zip(
                each.projected, each.received, money.projected, money.received, strict=True
            )
        ),
    )


def _told(made: Giving) -> str:
    what = f"lots worth {made.value}" if made.way is GiftWay.GIVE_LOTS else f"{made.value} in money, raised by sales"
    cited = f" ({made.source})" if made.source else ""
    said = f"Giving {what} adds {made.tax} to this year's tax{cited}"
    if made.deducted or made.carried:
        said += f"; {made.deducted} are deducted this year, which saves {made.saved}"
    if made.carried:
        said += f", and {made.carried} in the years after"
    if made.reportable:
        said += f"; {made.reportable} above the year's exclusion are reported (26 U.S.C. § 2503(b))"
    return f"{said}."
