"""The liability of a plan: the law's own arithmetic, as the least of a few convex functions."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.bulk.united_states import liability_pieces
from services.decision.domain.problem import TaxProfile
from services.decision.domain.tax import JURISDICTIONS
from services.decision.domain.tax.assessment import us_years
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, TaxAccount
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.jurisdiction import Taxpayer
from services.decision.domain.tax.liability import Area, Curve, rate_of, shared

RATES = st.sampled_from(["0", "0.1", "0.15", "0.238", "0.35", "0.408"]).map(Decimal)
AMOUNTS = st.integers(-9_000, 9_000).map(Decimal)
LOSSES = st.integers(0, 6_000).map(Decimal)
EDGES_2026 = sorted({
    int(edge)
    for each in us_years.YEARS[2026].values()
    for edge in (0, each.investment_income_threshold, *each.ordinary_tops, *each.long_term_tops)
})  # fmt: skip


@st.composite
def american(draw):
    """A taxpayer of 2026 whose income is near an edge of a bracket, so that gains and losses cross it."""
    edge, beside = draw(st.sampled_from(EDGES_2026)), draw(AMOUNTS)
    status, state = draw(st.sampled_from(us_years.FilingStatus)), draw(st.sampled_from(["0", "0.05"]).map(Decimal))
    return Taxpayer(max(edge + beside, Decimal(0)), status, state)


def brackets_of(taxpayer):
    return JURISDICTIONS["US"].bracket(date(2026, 6, 3), taxpayer, {}).brackets


PROFILES = st.builds(
    TaxProfile,
    jurisdiction=st.sampled_from(sorted(JURISDICTIONS)),
    taxable=st.just(True),
    short_rate=RATES,
    long_rate=RATES,
    realized_short=AMOUNTS,
    realized_long=AMOUNTS,
    carried_short=LOSSES,
    carried_long=LOSSES,
    allowance=st.none() | LOSSES,
    lower_rate=RATES,
    lower_room=st.just(Decimal(0)) | LOSSES,
    brackets=st.none() | american().map(brackets_of),
)
US = TaxProfile("US", True, Decimal("0.35"), Decimal("0.15"))


# Amounts of the assessment are in cents, and each of Germany's three taxes is rounded by itself.
TAXES_ROUNDED = Decimal("0.03")


@settings(max_examples=60)
@given(AMOUNTS, AMOUNTS, LOSSES, LOSSES, st.booleans())
def test_germanys_pots_in_a_plan_are_those_of_the_exact_assessment(shares, others, share_losses, other_losses, joint):
    """EStG § 20 Abs. 6, 9: what the year owes and what each pot carries on, from a history of sales."""
    rules = Germany({"S": AssetKind.SHARE}, (), joint, Decimal(0), share_losses, other_losses)
    cost = Decimal(10_000)
    exact = rules.assess(
        History(
            (TaxAccount("A"),),
            tuple(Acquisition(each, date(2024, 2, 1), "A", each, Decimal(1), cost) for each in "SO"),
            (
                Disposal("s", date(2025, 3, 3), "A", "S", Decimal(1), cost + shares),
                Disposal("o", date(2025, 3, 4), "A", "O", Decimal(1), cost + others),
            ),
        ),
        2025,
    )
    profile = TaxProfile("DE", True, long_rate=Decimal("0.26375"), allowance=Decimal(2000 if joint else 1000))
    profile = replace(profile, carried_short=share_losses, carried_long=other_losses)
    law = JURISDICTIONS["DE"]
    planned = law.year(profile, shares, others)

    assert abs(planned.tax - exact.amount("tax")) < TAXES_ROUNDED
    carried = law.carried_on(replace(profile, realized_short=shares, realized_long=others))
    assert carried == (exact.amount("share_losses_carried_forward"), exact.amount("other_losses_carried_forward"))
    assert planned.carried == sum(carried)


@settings(max_examples=60)
@given(AMOUNTS, LOSSES, st.integers(0, 45_000).map(Decimal))
def test_the_british_band_in_a_plan_is_that_of_the_exact_assessment(gain, losses, income):
    """TCGA 1992 s. 1H, s. 1I, s. 1K: what the year owes and carries on, below, within and beyond the band."""
    exact = UnitedKingdom(income, losses).assess(
        History(
            (TaxAccount("A"),),
            (Acquisition("l", date(2024, 2, 1), "A", "S", Decimal(1), Decimal(10_000)),),
            (Disposal("s", date(2025, 6, 3), "A", "S", Decimal(1), 10_000 + gain),),
        ),
        2025,
    )
    law = JURISDICTIONS["GB"]
    bracket = law.bracket(date(2025, 6, 3), Taxpayer(income), {})
    profile = TaxProfile(
        "GB", True, long_rate=bracket.rate, lower_rate=bracket.lower_rate, lower_room=bracket.room,
        allowance=Decimal(3000), carried_short=losses,
    )  # fmt: skip
    planned = law.year(profile, Decimal(0), gain)

    assert abs(planned.tax - exact.amount("tax")) < TAXES_ROUNDED
    assert planned.carried == exact.amount("losses_carried_forward")
    assert planned.carried_rate == (Decimal("0.18") if income < 37_700 else Decimal("0.24"))


@pytest.mark.parametrize(
    ("day", "rates"),
    [
        # Finance Act 2025 s. 7: 18 and 24 % for disposals from 30 October 2024, 10 and 20 % until then.
        (date(2024, 10, 29), ("0.10", "0.20")),
        (date(2024, 10, 30), ("0.18", "0.24")),
        (date(2026, 4, 5), ("0.18", "0.24")),
    ],
)
def test_british_rates_are_those_of_the_day_and_the_band_is_what_income_leaves(day, rates):
    law = JURISDICTIONS["GB"]
    at = law.bracket(day, Taxpayer(Decimal(30_000)), {})

    assert (at.lower_rate, at.rate, at.room) == (*map(Decimal, rates), 7_700)
    assert law.bracket(day, Taxpayer(Decimal(50_000)), {}).room == 0
    # A year that the release does not have, and nobody approved, has none.
    assert law.bracket(date(2040, 6, 1), Taxpayer(Decimal(0)), {}) is None
    approved = {"exempt_amount": 3000, "basic_rate_band": 40_000, "basic_rate": Decimal("0.2"), "higher_rate": 1}
    assert law.bracket(date(2040, 6, 1), Taxpayer(Decimal(1)), {2040: approved}).room == 39_999
    assert not any(JURISDICTIONS[each].by_income for each in ("CA", "DE"))


@settings(max_examples=120)
@given(american(), AMOUNTS, AMOUNTS, LOSSES, LOSSES)
def test_american_brackets_in_a_plan_are_those_of_the_exact_assessment(
    taxpayer, short, long, carried_short, carried_long
):
    """26 U.S.C. § 1(h), (j), § 1211(b), § 1212(b), § 1411: around every edge of 2026, short gains below long ones."""
    income, status = taxpayer.income, taxpayer.filing_status
    rules = UnitedStatesYear(status, income, carried_short, carried_long, state_rate=taxpayer.state_rate)
    exact = rules.assess(
        History(
            (TaxAccount("A"),),
            (
                Acquisition("s", date(2026, 1, 5), "A", "S", Decimal(1), Decimal(10_000)),
                Acquisition("l", date(2020, 1, 6), "A", "L", Decimal(1), Decimal(10_000)),
            ),
            (
                Disposal("s", date(2026, 6, 3), "A", "S", Decimal(1), 10_000 + short),
                Disposal("l", date(2026, 6, 3), "A", "L", Decimal(1), 10_000 + long),
            ),
        ),
        2026,
    )
    profile = TaxProfile("US", True, brackets=brackets_of(taxpayer))
    profile = replace(profile, carried_short=carried_short, carried_long=carried_long)
    law = JURISDICTIONS["US"]
    planned = law.year(profile, short, long)
    so_far = law.year(profile, Decimal(0), Decimal(0))

    assert abs(planned.tax - exact.amount("tax")) < TAXES_ROUNDED
    forward = exact.amount("short_term_carried_forward"), exact.amount("long_term_carried_forward")
    assert law.carried_on(replace(profile, realized_short=short, realized_long=long)) == forward
    assert planned.carried == sum(forward)
    assert law.liability(profile).of(short, long) == planned.liability - so_far.liability


@pytest.mark.parametrize(
    ("income", "short", "long", "tax"),
    [
        # Rev. Proc. 2025-32 section 4.03: single, 49,450 at 0 %, 545,500 at 15 %; § 1411: 3.8 % above 200,000.
        (40_000, 0, 9_450, 0),
        (40_000, 0, 10_450, 150),
        # A short gain at 12 % pushes a long one out of the 0 % bracket: 12 % and 15 % of it.
        (45_000, 1_000, 4_450, "270"),
        (199_000, 0, 3_000, "526"),
        (545_000, 0, 1_000, "213"),
        # § 1211(b): 3,000 of a loss meet income of the 12 % bracket, and what is carried is worth 0 % there.
        (40_000, -5_000, 0, -360),
    ],
)
def test_the_edges_of_american_brackets(income, short, long, tax):
    on = brackets_of(Taxpayer(Decimal(income), us_years.FilingStatus.SINGLE))
    profile = TaxProfile("US", True, brackets=on)

    assert JURISDICTIONS["US"].liability(profile).of(Decimal(short), Decimal(long)) == Decimal(tax)


def test_without_a_filing_status_the_policys_rates_are_the_rates():
    law = JURISDICTIONS["US"]

    assert law.bracket(date(2026, 6, 3), Taxpayer(Decimal(50_000)), {}) is None
    assert law.bracket(date(2040, 6, 3), Taxpayer(Decimal(0), us_years.FilingStatus.SINGLE), {}) is None


def owed(profile: TaxProfile, short: Decimal, long: Decimal) -> Decimal:
    rules = JURISDICTIONS[profile.jurisdiction]
    before, after = (rules.year(profile, *gains) for gains in ((Decimal(0), Decimal(0)), (short, long)))
    return after.liability - before.liability


@given(PROFILES, AMOUNTS, AMOUNTS)
def test_the_pieces_say_what_the_law_says(profile, short, long):
    assert JURISDICTIONS[profile.jurisdiction].liability(profile).of(short, long) == owed(profile, short, long)


@given(PROFILES)
def test_the_losses_that_a_year_leaves_are_those_that_it_carries_on(profile):
    rules = JURISDICTIONS[profile.jurisdiction]
    left = rules.carried_on(profile)

    assert min(left) >= 0
    assert sum(left) == rules.year(profile, Decimal(0), Decimal(0)).carried
    assert rules.terms or rules.pots or left[1] == 0


@given(PROFILES, st.lists(AMOUNTS, min_size=4, max_size=4), st.fractions(0, 1), st.fractions(0, 1))
def test_pieces_that_matter_nowhere_in_an_area_are_left_out_without_a_trace(profile, edges, across, up):
    area = Area(*sorted(edges[:2]), *sorted(edges[2:]))
    short = area.short_least + int(across * int(area.short_most - area.short_least))
    long = area.long_least + int(up * int(area.long_most - area.long_least))
    whole = JURISDICTIONS[profile.jurisdiction].liability(profile)
    left = whole.within(area)

    assert len(left.pieces) <= len(whole.pieces)
    assert left.of(short, long) == whole.of(short, long)


@given(PROFILES, AMOUNTS, AMOUNTS)
def test_the_average_rates_add_up_to_the_liability(profile, short, long):
    liability = JURISDICTIONS[profile.jurisdiction].liability(profile)
    average = liability.averages(short, long)

    assert average[0] * Fraction(short) + average[1] * Fraction(long) == Fraction(liability.of(short, long))
    highest = max(profile.short_rate, profile.long_rate)
    if profile.jurisdiction == "US" and profile.brackets is not None:
        highest = profile.brackets.highest
    assert all(0 <= rate_of(each) <= highest for each in average)


@given(PROFILES, AMOUNTS, AMOUNTS)
def test_the_marginal_rates_are_what_one_more_cent_costs(profile, short, long):
    liability, cent = JURISDICTIONS[profile.jurisdiction].liability(profile), Decimal("0.01")
    base = liability.of(short, long)

    assert liability.marginal(short, long) == (
        (liability.of(short + cent, long) - base) / cent,
        (liability.of(short, long + cent) - base) / cent,
    )


@pytest.mark.parametrize(
    ("shares", "others", "tax", "carried"),
    [
        # EStG § 20 Abs. 6 Satz 4: a loss on shares meets nothing but gains on shares.
        (-3000, 5000, 1000, (3000, 0)),
        # Satz 2: any other loss meets them too, and before the allowance of 1,000 does.
        (5000, -3000, 250, (0, 0)),
        (5000, -4500, 0, (0, 0)),
        (5000, -6000, 0, (0, 1000)),
        (-2000, -3000, 0, (2000, 3000)),
        (-2000, 800, 0, (2000, 0)),
    ],
)
def test_a_loss_on_shares_meets_gains_on_shares_only(shares, others, tax, carried):
    profile = TaxProfile("DE", True, long_rate=Decimal("0.25"), allowance=Decimal(1000))
    law, gains = JURISDICTIONS["DE"], (Decimal(shares), Decimal(others))

    assert law.year(profile, *gains).tax == tax
    assert law.carried_on(replace(profile, realized_short=gains[0], realized_long=gains[1])) == carried
    assert law.liability(profile).of(*gains) == tax - sum(carried) * Decimal("0.25")


@pytest.mark.parametrize(
    ("short", "long", "tax"),
    [
        # 26 U.S.C. § 1222: each kind by itself, then the two nets.
        (1000, 1000, "500"),
        (-1000, 3000, "300"),
        (3000, -1000, "700"),
        # § 1211(b): 3,000 of the loss meets other income; what is carried on is worth the lower rate.
        (-2000, 0, "-700"),
        (0, -2000, "-700"),
        (-5000, 0, "-1350"),
    ],
)
def test_gains_and_losses_meet_before_they_are_taxed(short, long, tax):
    assert JURISDICTIONS["US"].liability(US).of(Decimal(short), Decimal(long)) == Decimal(tax)


def test_a_plan_with_gains_only_has_one_price_for_each_kind():
    liability = JURISDICTIONS["US"].liability(US).within(Area(Decimal(0), Decimal(9), Decimal(0), Decimal(9)))

    assert [(each.short, each.long, each.hinges) for each in liability.pieces] == [(US.short_rate, US.long_rate, ())]


def test_the_exempt_amount_makes_the_first_gains_free():
    profile = replace(US, jurisdiction="GB", long_rate=Decimal("0.24"), allowance=Decimal(3000))
    liability = JURISDICTIONS["GB"].liability(profile)

    assert [liability.of(Decimal(0), Decimal(gain)) for gain in (-100, 3000, 4000)] == [-24, 0, 240]


@given(st.lists(RATES, min_size=1, max_size=5), st.lists(AMOUNTS, min_size=4, max_size=4, unique=True), AMOUNTS)
def test_a_curve_is_the_least_of_its_convex_parts(slopes, corners, amount):
    curve = Curve(tuple(slopes), tuple(sorted(corners)[: len(slopes) - 1]))
    parts = curve.convex(Decimal(0), Decimal(1))

    assert min(each.at(Decimal(0), amount) for each in parts) == curve.at(amount)


@given(st.dictionaries(st.text("abc", min_size=1), st.fractions(-1000, 1000), min_size=1))
def test_what_is_shared_to_the_cent_adds_up(amounts):
    total = Decimal(round(sum(amounts.values()) * 100)).scaleb(-2)
    parts = shared(total, amounts)

    assert sum(parts.values()) == total
    assert all(abs(Fraction(parts[name]) - amounts[name]) < Fraction(1, 100) for name in amounts)


@given(
    PROFILES.filter(lambda each: each.jurisdiction == "US" and each.allowance is None),
    AMOUNTS,
    AMOUNTS,
)
def test_batches_have_the_same_pieces(profile, short, long):
    profile = replace(profile, brackets=None)
    figures = profile.short_rate, profile.long_rate
    so_far = profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long
    rows = liability_pieces(*(np.array([float(each)]) for each in (*figures, *so_far)))[0]
    values = [
        c + s * float(short) + t * float(long) + rate * max(a * float(short) + b * float(long) - above, 0.0)
        for s, t, c, rate, a, b, above in rows
    ]

    assert min(values) == pytest.approx(float(JURISDICTIONS["US"].liability(profile).of(short, long)), abs=1e-6)
