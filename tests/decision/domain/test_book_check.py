"""What a book must be, and that everything wrong with it is named by field, value and limit."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from services.decision.domain.book import BookInvalid, SnapshotCheck, accounts
from services.decision.domain.columns import Numbers
from services.decision.domain.instruments import InstrumentUnknown
from services.kernel.errors import Invalid
from services.kernel.money import CENT
from tests.decision.books import CLOSE, MORNING, a_header, an_account, columns, lot

GOOD = an_account("a1", cash=5).holding("VTI", lot("l1", 2, 100), lot("l2", 1, 80))


def snapshot_of(*parts, header=None, now=MORNING):
    check = SnapshotCheck(header or a_header(), now)
    for part in parts:
        check.add(part)
    return check.snapshot(MORNING)


def wrong(*parts, header=None):
    """Return what is wrong, by field."""
    with pytest.raises(Invalid) as caught:
        snapshot_of(*parts, header=header)
    return {each.field: each.description for each in caught.value.violations}


def test_a_snapshot_is_named_by_what_it_says_and_not_by_how():
    two = an_account("a2", cash=7).holding("BND", lot("l1", "0.5", "10.10"))
    plain = snapshot_of(columns(GOOD, two))
    finer = snapshot_of(columns(two, money_scale=4, unit_scale=9), columns(GOOD))
    turned = an_account("a1", cash=5).holding("VTI", lot("l2", 1, 80), lot("l1", 2, 100))

    assert finer.snapshot_id == plain.snapshot_id
    assert snapshot_of(columns(turned, two)).snapshot_id == plain.snapshot_id
    assert (plain.account_count, plain.position_count, plain.lot_count) == (2, 2, 3)


@pytest.mark.parametrize(
    "other",
    [
        replace(GOOD, cash=GOOD.cash + 1),
        replace(GOOD, household_id="h"),
        replace(GOOD, custodian="c"),
        replace(GOOD, tax_wrapper="TAX_WRAPPER_EXEMPT"),
        an_account("a1", cash=5).holding("VTI", lot("l1", 2, 100), lot("l2", 1, 81)),
        an_account("a1", cash=5).holding("VTI", lot("l1", 1, 100), lot("l2", 2, 80)),
        an_account("a1", cash=5).holding("VTI", lot("l1", 2, 100, "2020-01-03"), lot("l2", 1, 80)),
        an_account("a1", cash=5).holding("VTI", units=3),
        an_account("a2", cash=5).holding("VTI", lot("l1", 2, 100), lot("l2", 1, 80)),
    ],
)
def test_anything_else_is_another_snapshot(other):
    assert snapshot_of(columns(other)).snapshot_id != snapshot_of(columns(GOOD)).snapshot_id


def test_another_instant_or_source_is_another_snapshot():
    here = snapshot_of(columns(GOOD)).snapshot_id

    assert snapshot_of(columns(GOOD), header=a_header(source="custodian-b")).snapshot_id != here
    assert snapshot_of(columns(GOOD), header=a_header(as_of_time=CLOSE - timedelta(1))).snapshot_id != here


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("household_ids", []),
        ("cash", Numbers([1, 2], 2)),
        ("lot_ids", ["l1"]),
        ("position_holdings", []),
        ("lot_bases", Numbers([], 2)),
    ],
)
def test_columns_of_different_length_are_refused(field, value):
    found = wrong(replace(columns(GOOD), **{field: value}))

    assert found.keys() == {f"part.{field}"}
    assert "rows" in found[f"part.{field}"]


def test_rows_that_do_not_exist_are_refused():
    assert wrong(replace(columns(GOOD), position_accounts=[1])) == {
        "part.position_accounts[0]": "must be a row from 0 to 0, was 1 (part 1)"
    }
    assert wrong(replace(columns(GOOD), lot_positions=[0, 7])).keys() == {"part.lot_positions[1]"}


def test_lots_that_are_more_or_less_than_their_position_are_refused():
    more = an_account().holding("VTI", lot("l1", "2.5", 100), units=2)
    less = an_account("a2").holding("VTI", lot("l1", "1.5", 100), units=2)

    assert wrong(columns(more, less)) == {
        "part.position_quantities.units[0]": (
            "must be the sum of its lots, 2.5, was 2 (account a1, instrument VTI; part 1)"
        ),
        "part.position_quantities.units[1]": (
            "must be the sum of its lots, 1.5, was 2 (account a2, instrument VTI; part 1)"
        ),
    }


@pytest.mark.parametrize(
    ("account", "field"),
    [
        (an_account("a/1"), "part.account_ids[0]"),
        (an_account(""), "part.account_ids[0]"),
        (an_account("x" * 65), "part.account_ids[0]"),
        (an_account(household_id="h 1"), "part.household_ids.indexes[0]"),
        (an_account(custodian=""), "part.custodians.indexes[0]"),
        (an_account(currency="usd"), "part.currencies.indexes[0]"),
        (an_account(tax_wrapper="TAX_WRAPPER_UNSPECIFIED"), "part.tax_wrappers.indexes[0]"),
        (an_account(reserved_cash="-0.01"), "part.reserved_cash.units[0]"),
        (an_account().holding("VTI", units=1, kind="HOLDING_LENT"), "part.position_holdings.indexes[0]"),
        (an_account().holding("VTI", units=0), "part.position_quantities.units[0]"),
        (an_account().holding("VTI", units=1).holding("VTI", units=2), "part.position_instruments.indexes[1]"),
        (an_account().holding("VTI", lot("l 1", 1, 1)), "part.lot_ids[0]"),
        (an_account().holding("VTI", lot("l", 1, 1)).holding("BND", lot("l", 1, 1)), "part.lot_ids[1]"),
        (an_account().holding("VTI", lot("l", 1, "-0.01")), "part.lot_bases.units[0]"),
        (an_account().holding("VTI", lot("l", 1, 1, "1899-12-31")), "part.lot_acquired_dates.days[0]"),
        (an_account().holding("VTI", lot("l", 1, 1, "2022-12-28")), "part.lot_acquired_dates.days[0]"),
    ],
)
def test_what_an_account_cannot_be_is_named(account, field):
    assert wrong(columns(account)).keys() == {field}


def test_the_edges_of_what_can_be_are_inside():
    account = (
        an_account("x" * 64, cash=-5, reserved_cash=0)
        .holding("VTI", lot("l", "0.001", 0, "1900-01-01"), lot("m", 1, 1, "2022-12-27"))
        .holding("VTI", units=1, kind="HOLDING_LOCKED")
    )

    assert snapshot_of(columns(account), now=CLOSE).lot_count == 2
    assert snapshot_of(columns(account), now=CLOSE - timedelta(minutes=5)).lot_count == 2


def test_a_price_in_another_currency_than_the_accounts_is_refused():
    found = wrong(columns(an_account(currency="EUR").holding("VTI", units=1)))

    assert found == {
        "part.position_instruments.indexes[0]": (
            "must be priced in the account's currency, EUR, was USD (account a1, instrument VTI; part 1)"
        )
    }


def test_only_unknown_instruments_have_a_reason_of_their_own():
    unknown = an_account().holding("TSLA", units=1)

    with pytest.raises(InstrumentUnknown):
        snapshot_of(columns(unknown))
    with pytest.raises(BookInvalid):
        snapshot_of(columns(unknown), columns(an_account("a2", reserved_cash=-1)))


def test_a_part_that_is_wrong_does_not_hide_the_next():
    first = columns(an_account("a1", reserved_cash=-1))
    second = columns(an_account("a2").holding("VTI", units=0))

    assert wrong(first, second).keys() == {"part.reserved_cash.units[0]", "part.position_quantities.units[0]"}


TEXTS = st.sampled_from(
    ["a1", "a2", "", "VTI", "BND", "USD", "EUR", "TAX_WRAPPER_TAXABLE", "HOLDING_TRADED", "é", "x" * 65]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 100, 20_000, 2**63 - 1, -(2**63)])


@st.composite
def parts(draw):
    """A right part with a few things changed, some of which make it wrong."""
    part = columns(GOOD, an_account("a2").holding("BND", units=3))
    for name in draw(st.lists(st.sampled_from([each.name for each in fields(part)]), max_size=3)):
        before = getattr(part, name)
        rows = list(before.units if isinstance(before, Numbers) else before)
        values = TEXTS if rows and isinstance(rows[0], str) else NUMBERS
        for row in range(len(rows)):
            if draw(st.booleans()):
                rows[row] = draw(values)
        rows = rows[draw(st.integers(0, 1)) :] + draw(st.lists(values, max_size=1))
        after = Numbers(rows, draw(st.integers(0, 12))) if isinstance(before, Numbers) else rows
        part = replace(part, **{name: after})
    return part


@given(parts())
def test_a_part_that_is_not_refused_is_whole(part):
    try:
        snapshot = snapshot_of(part)
    except Invalid as refused:
        event(type(refused).__name__)
        return
    for account in accounts(part, snapshot, 0):
        assert account.cash == account.cash.quantize(CENT)
        for position in account.positions:
            assert position.quantity > 0
            assert not position.lots or sum(each.quantity for each in position.lots) == position.quantity
            assert all(each.quantity > 0 and each.basis_total >= 0 for each in position.lots)


def test_violations_are_counted_and_only_so_many_shown():
    many = [an_account(f"a{number}", reserved_cash=-1) for number in range(500)]

    with pytest.raises(BookInvalid) as caught:
        snapshot_of(columns(*many))
    assert len(caught.value.violations) == 100
    assert caught.value.facts["violation_count"] == 500
