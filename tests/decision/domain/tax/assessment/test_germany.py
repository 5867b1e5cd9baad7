"""Germany: advance lump sums, loss pots, allowance, taxes. Worked by hand from the law's own formulas."""

from datetime import date
from decimal import Decimal

import pytest

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import History, TaxAccount
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld, TaxYearUnknown
from tests.decision.domain.tax.assessment.histories import bought, sold

D = Decimal
FUND = {"ACME": AssetKind.EQUITY_FUND}


def in_one_depot(*rows):
    return History(
        accounts=(TaxAccount("A"),),
        acquisitions=tuple(row for row in rows if hasattr(row, "cost")),
        disposals=tuple(row for row in rows if hasattr(row, "proceeds")),
    )


def test_an_advance_lump_sum_is_seventy_percent_of_the_base_rate_on_the_first_price_less_the_exempt_part():
    # InvStG § 18: 100 units · 100 € · 2.55 % · 70 % = 178.50 €, 30 % of it exempt: 124.95 €, income of 2024.
    rules = Germany(FUND, (FundYear("ACME", 2023, D(100), D(110)),))
    history = in_one_depot(bought("l1", "2022-05-02", "A", "100", "9000"))

    assert rules.assess(history, 2024).amount("advance_lump_sums") == D("124.95")
    assert rules.assess(history, 2023).amount("advance_lump_sums") == 0


@pytest.mark.parametrize(
    ("first", "last", "distributed", "day", "expected"),
    [
        # At most what the price rose: 1 € a unit, not 1.785 €.
        ("100", "101", "0", "2022-05-02", "70.00"),
        # Fell: none.
        ("100", "99", "0", "2022-05-02", "0"),
        # Less what was distributed: (1.785 − 1) · 100 · 70 %.
        ("100", "110", "1", "2022-05-02", "54.95"),
        # More distributed than the base: none.
        ("100", "110", "2", "2022-05-02", "0"),
        # Bought in March: ten twelfths.
        ("100", "110", "0", "2023-03-31", "104.12"),
        # Bought in December: one twelfth.
        ("100", "110", "0", "2023-12-01", "10.42"),
        # Bought in January: all of it.
        ("100", "110", "0", "2023-01-31", "124.95"),
    ],
)
def test_an_advance_lump_sum_is_bounded_by_the_rise_the_distributions_and_the_months(
    first, last, distributed, day, expected
):
    rules = Germany(FUND, (FundYear("ACME", 2023, D(first), D(last), D(distributed)),))
    history = in_one_depot(bought("l1", day, "A", "100", "9000"))

    assert rules.assess(history, 2024).amount("advance_lump_sums") == D(expected)


def test_a_year_with_a_base_rate_below_zero_has_no_advance_lump_sum():
    rules = Germany(FUND, (FundYear("ACME", 2021, D(100), D(150)),))

    got = rules.assess(in_one_depot(bought("l1", "2020-05-04", "A", "100", "9000")), 2022)

    assert got.amount("advance_lump_sums") == 0


def test_what_was_taxed_in_advance_is_taken_off_the_gain_in_full_before_the_exempt_part():
    # InvStG § 19 Abs. 1 Satz 3, 4: gain 12,000 − 9,000 − 178.50 = 2,821.50; 70 % of it counts.
    rules = Germany(FUND, (FundYear("ACME", 2023, D(100), D(110)),))
    history = in_one_depot(
        bought("l1", "2022-05-02", "A", "100", "9000"), sold("s1", "2024-07-01", "A", "100", "12000")
    )

    assert rules.assess(history, 2024).amount("gains_on_others") == D("1975.05")


def test_the_oldest_units_of_a_depot_go_first_and_another_depot_is_left_alone():
    history = History(
        accounts=(TaxAccount("A"), TaxAccount("B")),
        acquisitions=(
            bought("a1", "2020-03-02", "A", "10", "100"),
            bought("a2", "2021-03-01", "A", "10", "200"),
            bought("b1", "2019-03-01", "B", "10", "50"),
        ),
        disposals=(sold("s1", "2024-05-02", "A", "15", "600"),),
    )

    got = Germany({"ACME": AssetKind.SHARE}).assess(history, 2024)

    assert [(piece.lot_id, piece.quantity, piece.gain) for piece in got.disposals[0].pieces] == [
        ("a1", D(10), D(300)),
        ("a2", D(5), D(100)),
    ]
    with pytest.raises(SoldMoreThanHeld, match="5 units sold on 2024-05-02"):
        Germany().assess(
            in_one_depot(bought("l", "2020-01-02", "A", "1", "1"), sold("s", "2024-05-02", "A", "6", "1")), 2024
        )


def test_losses_on_shares_meet_gains_on_shares_only():
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(
            bought("l1", "2020-01-02", "A", "10", "5000", "SHARE"),
            bought("l2", "2020-01-02", "A", "10", "1000", "BOND"),
        ),
        disposals=(
            sold("s1", "2024-05-02", "A", "10", "2000", asset="SHARE"),
            sold("s2", "2024-05-02", "A", "10", "3500", asset="BOND"),
        ),
    )

    got = Germany({"SHARE": AssetKind.SHARE}).assess(history, 2024)

    assert got.amount("share_losses_carried_forward") == D(3000)
    assert got.amount("allowance_used") == D(1000)
    assert got.amount("taxable_income") == D(1500)
    # 25 % of 1,500, and 5.5 % of that.
    assert got.amount("income_tax") == D("375.00")
    assert got.amount("solidarity_surcharge") == D("20.62")
    assert got.amount("tax") == D("395.62")


def test_church_tax_lowers_the_income_tax_by_the_formula_of_the_law():
    # § 32d Abs. 1 Satz 4: 4,090 / (4 + 9 %) = 1,000; 9 % of it to the church.
    history = in_one_depot(bought("l1", "2020-01-02", "A", "10", "1000"), sold("s1", "2024-05-02", "A", "10", "6090"))

    got = Germany(church_rate=D("0.09")).assess(history, 2024)

    assert got.amount("income_tax") == D("1000.00")
    assert got.amount("solidarity_surcharge") == D("55.00")
    assert got.amount("church_tax") == D("90.00")


def test_fractions_of_a_cent_of_the_solidarity_surcharge_do_not_count():
    # SolzG § 4 Satz 3. § 32d Abs. 1 Satz 4: 604.44 / 4.09 = 147.78; 5.5 % of it are 8.1279.
    history = in_one_depot(
        bought("l1", "2020-01-02", "A", "10", "1000"), sold("s1", "2024-05-02", "A", "10", "2604.44")
    )

    got = Germany(church_rate=D("0.09")).assess(history, 2024)

    assert (got.amount("income_tax"), got.amount("solidarity_surcharge")) == (D("147.78"), D("8.12"))


def test_a_couple_has_the_allowance_twice_and_before_2023_it_was_lower():
    history = in_one_depot(
        bought("l1", "2020-01-02", "A", "20", "1000"),
        sold("s1", "2022-05-02", "A", "10", "6000"),
        sold("s2", "2024-05-02", "A", "10", "6000"),
    )

    assert Germany(joint=True).assess(history, 2022).amount("allowance_used") == D(1602)
    assert Germany(joint=True).assess(history, 2024).amount("allowance_used") == D(2000)
    assert Germany().assess(history, 2022).amount("allowance_used") == D(801)


def test_a_year_without_rules_is_refused_with_the_years_there_are():
    with pytest.raises(TaxYearUnknown, match="must be 2018 to 2026 for DE, was 2017"):
        Germany().assess(in_one_depot(bought("l1", "2016-01-04", "A", "1", "1")), 2017)


def test_what_is_held_in_december_of_the_last_year_counts_in_the_next_even_without_a_row_there():
    rules = Germany(FUND, (FundYear("ACME", 2023, D(100), D(110)), FundYear("ACME", 2024, D(110), D(130))))
    history = in_one_depot(bought("l1", "2022-05-02", "A", "100", "9000"))

    # 100 · 110 · 2.29 % · 70 % · 70 %.
    assert rules.assess(history, 2025).amount("advance_lump_sums") == D("123.43")
    assert rules.assess(history, 2025).last_date == date(2025, 12, 31)
