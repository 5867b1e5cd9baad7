"""Where accounts stand by the ledger: each taxpayer's losses count once, to the cent."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import AccountBook, TaxWrapper
from services.decision.domain.problem import Side
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, Owner, TaxAccount
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.differences import differences
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.laws import LAWS, CurrencyWithoutRate, check_currencies, law_book
from services.decision.domain.tax.ledger import (
    BookedTrade,
    LedgerAccount,
    PendingPurchase,
    known_until,
    ledger_history,
    pending_effects,
    standings,
)

TODAY = date(2025, 11, 28)
START = datetime(2020, 1, 2, 21, tzinfo=UTC)


def an_account(account_id, wrapper=TaxWrapper.TAXABLE):
    zero = Decimal(0)
    return AccountBook(
        account_id, "h", "custodian", "USD", wrapper, zero, zero, (), (), "snapshot-1", START
    )  # fmt: skip


def ledger(account_id, wrapper=TaxWrapper.TAXABLE, complete=TODAY, trades=()):
    account = an_account(account_id, wrapper)
    return LedgerAccount(account, Owner.TAXPAYER, account, complete, tuple(trades))


def bought(name, day, account, cost):
    return TaxEvent(name, Acquisition(name, date.fromisoformat(day), account, "VTI", Decimal(10), Decimal(cost)))


def sold(name, day, account, proceeds):
    return TaxEvent(name, Disposal(name, date.fromisoformat(day), account, "VTI", Decimal(10), Decimal(proceeds)))


def test_a_households_unused_losses_are_shared_evenly_and_none_is_lost_or_counted_twice():
    accounts = [ledger("a1"), ledger("a2"), ledger("a3"), ledger("ira", TaxWrapper.DEFERRED)]
    events = [bought("b", "2023-01-03", "a2", "20000.01"), sold("s", "2023-05-02", "a2", "9000")]
    history = ledger_history(accounts, events, {})
    found = standings(accounts, history, LAWS["US"], law_book(()), TODAY)

    # 11,000.01 lost, 3,000 of it taken off in 2023 and in 2024.
    assert [each.account_id for each in found] == ["a1", "a2", "a3"]
    assert sum(each.carried_short for each in found) == Decimal("5000.01")
    assert {each.carried_short for each in found} == {Decimal("1666.67")}


def test_gains_of_the_year_belong_to_the_account_that_sold_and_washed_losses_do_not_count():
    accounts = [ledger("a1"), ledger("a2")]
    events = [
        bought("b1", "2025-01-03", "a1", 1000), sold("s1", "2025-05-02", "a1", 700),
        bought("b2", "2025-05-12", "a2", 800), sold("s2", "2025-09-02", "a2", 1500),
    ]  # fmt: skip
    one, other = standings(accounts, ledger_history(accounts, events, {}), LAWS["US"], law_book(()), TODAY)

    # The loss of 300 waited in the basis of what was bought in the other account.
    assert (one.short_gain, other.short_gain) == (0, 400)
    assert (one.long_gain, other.long_gain) == (0, 0)


def test_gains_are_those_of_the_countrys_own_tax_year():
    events = [
        bought("b1", "2023-01-04", "a1", 1000), sold("s1", "2024-04-05", "a1", 1100),
        bought("b2", "2024-07-01", "a1", 1000), sold("s2", "2024-12-02", "a1", 1300),
        bought("b3", "2025-01-06", "a1", 1000), sold("s3", "2025-02-28", "a1", 1040),
    ]  # fmt: skip
    day = date(2025, 3, 1)
    (found,) = standings([ledger("a1")], ledger_history([ledger("a1")], events, {}), LAWS["GB"], law_book(()), day)

    assert (found.tax_year, found.day, found.short_gain, found.long_gain) == (2024, day, 0, 340)


def test_gains_and_unused_losses_on_shares_are_apart_where_the_law_keeps_them_so():
    events = [
        bought("b1", "2024-01-03", "a1", 3000), sold("s1", "2024-05-02", "a1", 1000),
        bought("b2", "2025-01-03", "a1", 1000), sold("s2", "2025-05-02", "a1", 1300),
    ]  # fmt: skip
    history = ledger_history([ledger("a1")], events, {})

    def found(kinds):
        (standing,) = standings([ledger("a1")], history, LAWS["DE"], law_book(()), TODAY, kinds)
        return standing.share_gain, standing.long_gain, standing.carried_short, standing.carried_long

    assert found({"VTI": AssetKind.SHARE}) == (300, 300, 2000, 0)
    assert found({}) == (0, 300, 0, 2000)


def test_what_was_booked_counts_when_it_settles_where_the_law_says_so():
    """Sold on 31 December, settled on 2 January: in Canada it is of the new year, in the United States of the old."""
    sale = BookedTrade(1, "a1", "VTI", Side.SELL, Decimal(10), Decimal(900), Decimal(0), date(2024, 12, 31),
                       settlement_date=date(2025, 1, 2))  # fmt: skip
    account = ledger("a1", complete=date(2024, 12, 1), trades=[sale])
    gains = {}
    for code in ("CA", "US"):
        law = LAWS[code]
        settled = law.by_settlement
        history = ledger_history([account], [bought("b", "2024-03-01", "a1", 500)], {}, settled=settled)
        until = known_until([account], date(2024, 12, 31), settled=settled)
        for year in (2024, 2025):
            gains[code, year] = len(law.assessing.assess(history.checked(until), year).of_year())

    assert gains == {("CA", 2024): 0, ("CA", 2025): 1, ("US", 2024): 1, ("US", 2025): 0}


def test_an_account_in_another_currency_than_the_laws_is_refused_by_name():
    check_currencies("GB", {"a1": "GBP"})
    with pytest.raises(
        CurrencyWithoutRate, match=r"account a2 must be kept in GBP, or the rates .* was in USD"
    ) as caught:
        check_currencies("GB", {"a1": "GBP", "a2": "USD"})
    assert caught.value.facts == {"account_id": "a2"}


def test_bookings_until_the_record_ends_are_in_it_and_later_ones_are_added():
    def trade(position, day, units, uncovered=0):
        numbers = Decimal(units), Decimal(100), Decimal(1)
        return BookedTrade(position, "a1", "VTI", Side.BUY, *numbers, date.fromisoformat(day), (f"lot-{position}",),
                           Decimal(uncovered))  # fmt: skip

    account = ledger("a1", complete=date(2025, 3, 3), trades=[trade(1, "2025-03-03", 4), trade(2, "2025-03-04", 3)])
    history = ledger_history([account], [bought("b", "2025-03-03", "a1", 400)], {})

    assert [(row.lot_id, row.cost) for row in history.acquisitions] == [("lot-2", 101), ("b", 400)]
    (difference,) = differences([account], history)
    assert (difference.ledger, difference.book) == (13, 0)


def test_a_pending_purchase_shows_what_it_would_deny_if_it_were_filled_today():
    history = History(
        (TaxAccount("A"),),
        (Acquisition("l", date(2022, 3, 1), "A", "VTI", Decimal(10), Decimal(2000)),),
        (Disposal("s", date(2025, 11, 20), "A", "VTI", Decimal(10), Decimal(1500)),),
    )
    purchases = [PendingPurchase("A", "VTI", Decimal(4)), PendingPurchase("A", "OTHER", Decimal(9))]

    effects = pending_effects(UnitedStatesYear(), history, 2025, TODAY, purchases)
    assert [each.disallowed_loss for each in effects] == [200, 0]
    late = pending_effects(UnitedStatesYear(), history, 2025, date(2025, 12, 21), purchases)
    assert [each.disallowed_loss for each in late] == [0, 0]
