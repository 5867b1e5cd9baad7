"""What a year comes to: each rate, cap, allowance and threshold at its edge, worked by hand."""

from decimal import Decimal

import pytest

from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.history import History, TaxAccount
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld, TaxYearUnknown
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear, income_tax
from services.decision.domain.tax.assessment.us_years import YEARS, FilingStatus
from services.decision.domain.tax.united_states import carried
from tests.decision.domain.tax.assessment.histories import bought, sold

D = Decimal
SINGLE_2025 = YEARS[2025][FilingStatus.SINGLE]


def with_gains(*gains, bought_day="2015-06-01"):
    """A history that realizes each (day, gain), of assets of their own."""
    return History(
        accounts=(TaxAccount("A"),),
        acquisitions=tuple(bought(f"l{n}", bought_day, "A", "1", "100000", f"ASSET{n}") for n, _ in enumerate(gains)),
        disposals=tuple(
            sold(f"s{n}", day, "A", "1", str(100000 + gain), asset=f"ASSET{n}") for n, (day, gain) in enumerate(gains)
        ),
    )


def test_ordinary_income_fills_the_brackets_one_after_the_other():
    # 11,925 · 10 % + 36,550 · 12 % + 1,525 · 22 %.
    assert income_tax(D(50_000), D(0), SINGLE_2025) == D("5914.00")
    assert income_tax(D(11_925), D(0), SINGLE_2025) == D("1192.50")
    assert income_tax(D(0), D(0), SINGLE_2025) == 0


def test_long_term_gain_lies_on_top_of_ordinary_income():
    # 48,350 is the top of the 0 % bracket: 8,350 of the 20,000 are above it.
    assert income_tax(D(36_700), D(20_000), SINGLE_2025) - income_tax(D(36_700), D(0), SINGLE_2025) == D("1252.50")
    assert income_tax(D(0), D(48_350), SINGLE_2025) == 0
    assert income_tax(D(533_400), D(100), SINGLE_2025) - income_tax(D(533_400), D(0), SINGLE_2025) == 20


@pytest.mark.parametrize(
    ("short", "long", "deducted", "expected"),
    [
        # IRS, Capital Loss Carryover Worksheet: the deduction comes off the short-term loss first.
        (-7000, 0, 3000, (4000, 0)),
        (-1000, -6000, 3000, (0, 4000)),
        (0, -7000, 3000, (0, 4000)),
        (-9000, 2000, 3000, (4000, 0)),
        (2000, -9000, 3000, (0, 4000)),
        (-2000, 0, 2000, (0, 0)),
        (5000, -2000, 0, (0, 0)),
    ],
)
def test_losses_go_on_by_their_kind(short, long, deducted, expected):
    assert carried(D(short), D(long), D(deducted)) == expected


def test_a_short_term_loss_meets_a_long_term_gain_before_either_is_taxed():
    # A published trap: each lot taxed alone looks like a credit, together they are taxed.
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(
            bought("l1", "2020-01-02", "A", "1", "1000", "X"),
            bought("l2", "2025-06-02", "A", "1", "1000", "Y"),
        ),
        disposals=(
            sold("s1", "2025-07-01", "A", "1", "3000", asset="X"),
            sold("s2", "2025-07-01", "A", "1", "500", asset="Y"),
        ),
    )

    got = UnitedStatesYear(ordinary_income=D(100_000)).assess(history, 2025)

    assert got.amount("net_short_term") == -500
    assert got.amount("net_long_term") == 2000
    assert got.amount("tax") == D("225.00")


def test_the_married_who_file_separately_deduct_half_as_much():
    history = with_gains(("2025-03-03", -10_000))
    separate = UnitedStatesYear(FilingStatus.MARRIED_SEPARATE, ordinary_income=D(60_000))

    assert separate.assess(history, 2025).amount("loss_deducted") == 1500
    assert UnitedStatesYear(ordinary_income=D(60_000)).assess(history, 2025).amount("income_tax") == -660


def test_net_investment_income_is_taxed_above_its_threshold_only():
    history = with_gains(("2025-03-03", 30_000))

    at = UnitedStatesYear(ordinary_income=D(170_000)).assess(history, 2025)
    above = UnitedStatesYear(ordinary_income=D(180_000)).assess(history, 2025)

    assert at.amount("net_investment_income_tax") == 0
    assert above.amount("net_investment_income_tax") == D("380.00")


def test_a_state_takes_its_part_of_the_net_gain():
    got = UnitedStatesYear(ordinary_income=D(100_000), state_rate=D("0.05")).assess(
        with_gains(("2025-03-03", 1000)), 2025
    )

    assert got.amount("state_tax") == 50
    assert got.amount("tax") == 200


def test_a_time_tacked_on_makes_the_replacement_long_term():
    # Held 300 days, sold at a loss; the replacement is long-term after 66 more.
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(bought("l1", "2024-01-02", "A", "10", "1000"), bought("l2", "2024-10-29", "A", "10", "800")),
        disposals=(sold("s1", "2024-10-28", "A", "10", "700"), sold("s2", "2025-01-10", "A", "10", "1500")),
    )

    piece = UnitedStatesYear().assess(history, 2025).disposals[1].pieces[0]

    assert piece.held_from_date is not None
    assert piece.held_from_date.isoformat() == "2024-01-03"
    assert (piece.cost, piece.gain, piece.term) == (D(1100), D(400), "LONG")


def test_a_chain_of_wash_sales_passes_the_losses_on_until_one_counts():
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=tuple(
            bought(f"l{n}", day, "A", "10", "1000") for n, day in enumerate(("2025-01-02", "2025-02-03", "2025-03-03"))
        ),
        disposals=tuple(
            sold(f"s{n}", day, "A", "10", "900") for n, day in enumerate(("2025-01-31", "2025-02-28", "2025-05-01"))
        ),
    )

    got = UnitedStatesYear().assess(history, 2025)

    assert [each.counted_gain for each in got.disposals] == [0, 0, -300]


def test_the_exempt_amount_comes_before_the_losses_of_earlier_years():
    # TCGA s. 1K(5): 5,000 of gain, 3,000 exempt; so only 2,000 of the old loss is used.
    got = UnitedKingdom(losses_brought_forward=D(10_000)).assess(with_gains(("2025-05-01", 5000)), 2025)

    assert got.amount("losses_brought_forward_used") == 2000
    assert got.amount("annual_exempt_amount_used") == 3000
    assert got.amount("losses_carried_forward") == 8000
    assert got.amount("tax") == 0


def test_losses_of_the_year_come_before_the_exempt_amount():
    got = UnitedKingdom().assess(with_gains(("2025-05-01", 5000), ("2025-06-02", -4000)), 2025)

    assert got.amount("annual_exempt_amount_used") == 1000
    assert got.amount("losses_carried_forward") == 0


def test_rates_of_2024_change_on_30_october_and_relief_meets_the_higher_ones_first():
    history = with_gains(("2024-10-29", 10_000), ("2024-10-30", 10_000))

    higher = UnitedKingdom(taxable_income=D(50_000)).assess(history, 2024)
    basic = UnitedKingdom().assess(history, 2024)

    # 3,000 exempt off the later gain: 7,000 · 24 % + 10,000 · 20 %; at the basic rate 18 % and 10 %.
    assert higher.amount("tax") == D("3680.00")
    assert basic.amount("tax") == D("2260.00")


def test_the_basic_rate_band_that_income_left_is_used():
    # 37,700 − 30,000 = 7,700 at 18 %, 9,300 at 24 %.
    got = UnitedKingdom(taxable_income=D(30_000)).assess(with_gains(("2025-05-01", 20_000)), 2025)

    assert got.amount("tax") == D("3618.00")


def test_an_isa_stands_outside():
    history = History(
        accounts=(TaxAccount("A"), TaxAccount("ISA", sheltered=True)),
        acquisitions=(bought("l1", "2024-05-01", "A", "10", "1000"), bought("l2", "2025-05-02", "ISA", "10", "700")),
        disposals=(sold("s1", "2025-05-01", "A", "10", "700"), sold("s2", "2025-07-01", "ISA", "10", "5000")),
    )

    got = UnitedKingdom().assess(history, 2025)

    assert [each.counted_gain for each in got.disposals] == [-300]


def test_half_of_a_canadian_gain_is_taxed_after_losses_of_other_years():
    got = Canada(marginal_rate=D("0.40"), net_losses_brought_forward=D(1000)).assess(
        with_gains(("2025-05-01", 10_000)), 2025
    )

    assert got.amount("net_taxable_gain") == 5000
    assert got.amount("net_losses_used") == 1000
    assert got.amount("tax") == 1600


@pytest.mark.parametrize(
    ("rules", "year", "message"),
    [
        (UnitedStatesYear(), 2017, "must be 2018 to 2026 for US, was 2017"),
        (UnitedKingdom(), 2015, "must be 2016 to 2026 for GB, was 2015"),
        (Canada(), 2000, "must be 2001 to 2026 for CA, was 2000"),
    ],
)
def test_a_year_without_rules_is_refused(rules, year, message):
    with pytest.raises(TaxYearUnknown, match=message):
        rules.assess(with_gains(("2025-05-01", 1)), year)


@pytest.mark.parametrize("rules", [UnitedStatesYear(), UnitedKingdom(), Canada()])
def test_selling_what_was_never_bought_is_refused_with_how_much(rules):
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(bought("l1", "2025-01-02", "A", "10", "1000"),),
        disposals=(sold("s1", "2025-05-01", "A", "12", "700"),),
    )

    with pytest.raises(SoldMoreThanHeld, match=r"ACME: 2 units sold on 2025-05-01"):
        rules.assess(history, 2025)


@pytest.mark.parametrize(
    ("income", "tax"),
    [
        # Rev. Proc. 2025-32, table 2 (heads of households, 2026), prints the tax at the end of each bracket.
        (17_700, 1_770), (67_450, 7_740), (105_700, 16_155), (201_750, 39_207), (256_200, 56_631),
    ],
)  # fmt: skip
def test_the_brackets_add_up_to_the_tax_that_the_revenue_procedure_prints(income, tax):
    assert income_tax(Decimal(income), Decimal(0), YEARS[2026][FilingStatus.HEAD_OF_HOUSEHOLD]) == tax
