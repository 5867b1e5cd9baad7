"""The histories that docs/tax.md shows can be sent as they stand."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.decision.v1.year_end_service_pb2 import GermanyTaxpayers
from services.decision.api.tax_action_messages import wish_of
from services.decision.api.tax_event_messages import accounts_named, events_of
from services.decision.api.tax_law_messages import amounts_of
from services.decision.api.tax_ledger_messages import owners_of
from services.decision.api.tax_messages import history_of
from services.decision.api.taxpayer_messages import rules_of
from services.decision.api.year_end_messages import named_of
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    Disposal,
    Gift,
    History,
    Receipt,
    Reorganization,
    Split,
)
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.laws import LAWS, law_book, proposed_amounts
from services.kernel.errors import Invalid
from tools.cli import year_ends
from tools.cli.documents import message_from_yaml

PAGE = (Path(__file__).parents[2] / "docs" / "tax.md").read_text()
TABLE, RATES = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
WHOLE, COUNTRIES, LAW, EVENTS, LEDGER, GIVEN, ACTIONS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def assessed(text):
    request = message_from_yaml(text, pb.PreviewTaxYearRequest())
    return rules_of(request).assess(history_of(request), request.tax_year)


def test_the_example_is_a_history_that_can_be_assessed():
    got = assessed(WHOLE)

    assert {piece.rule for piece in got.disposals[0].pieces} == {"THIRTY_DAYS", "POOL"}


@pytest.mark.parametrize("line", COUNTRIES.strip().splitlines())
def test_each_country_s_taxpayer_is_one(line):
    request = message_from_yaml(f"tax_year: 2025\n{line}", pb.PreviewTaxYearRequest())

    assert rules_of(request).assess(History(()), 2025).amount("tax") == 0


def test_the_events_can_be_recorded_and_the_ledger_asked_for():
    request = message_from_yaml(EVENTS, pb.RecordTaxEventsRequest())
    rows = [each.row for each in events_of(request, dict.fromkeys(accounts_named(request), "USD"))]

    assert [type(row) for row in rows] == [Acquisition, Acquisition, Disposal, Split]
    assert list(owners_of(message_from_yaml(LEDGER, pb.GetTaxLedgerRequest()))) == list(accounts_named(request))


def test_gifts_and_a_merger_with_money_can_be_recorded():
    request = message_from_yaml(GIVEN, pb.RecordTaxEventsRequest())
    events = events_of(request, dict.fromkeys(accounts_named(request), "USD"))

    assert [type(each.row) for each in events] == [Gift, Receipt, Reorganization, Redemption]
    assert events[2].row_in("USD").new_value == 251
    assert events[3].row_in("USD").money == 280


def test_the_law_can_be_proposed():
    request = message_from_yaml(LAW, pb.ProposeTaxLawRequest())
    amounts = proposed_amounts(LAWS["US"], request.tax_year, amounts_of(request), law_book(()))

    assert amounts["single.long_term_top_2"] == 551_400
    assert amounts["single.loss_cap"] == 3000


def test_the_comparison_can_be_asked_for():
    wish = wish_of(message_from_yaml(ACTIONS, pb.CompareTaxActionsRequest()))

    assert [each.years for each in wish.scenarios] == [10, 2]
    assert wish.withdrawal == 20_000


def test_a_date_that_is_none_is_named():
    with pytest.raises(Invalid) as caught:
        message_from_yaml("splits: [{date: 31.3.2025}]", pb.PreviewTaxYearRequest())

    assert caught.value.violations[0].field == "splits[0].date"


def test_the_table_of_taxpayers_can_be_sent_and_a_column_or_number_that_nobody_knows_is_named(tmp_path):
    file = tmp_path / "taxpayers.csv"
    file.write_text(TABLE)
    pieces = list(year_ends._pieces(year_ends._rows(file)))
    (_, american), (_, british) = [named_of(year_ends.taxpayers_message(each, GermanyTaxpayers())) for each in pieces]

    assert [(each.taxpayer_id, each.household_id, len(each.owners)) for each in american] == [
        ("smith", "household-0001", 0), ("jones", None, 3),
    ]  # fmt: skip
    assert american[0].rules.filing_status is FilingStatus.MARRIED_JOINT
    assert american[1].rules.state_rate == Decimal("0.05")
    assert british[0].rules.taxable_income == 61_000
    for wrong, said in (("country", "land"), ("US", "FR")):
        file.write_text(TABLE.replace(wrong, said))
        with pytest.raises(Invalid, match=said):
            list(year_ends._rows(file))
    file.write_text(TABLE.replace("95000", "much"))
    with pytest.raises(Invalid, match="line 3, ordinary_income"):
        [year_ends.taxpayers_message(each, GermanyTaxpayers()) for each in year_ends._pieces(year_ends._rows(file))]


def test_the_table_of_rates_can_be_sent_and_what_cannot_be_is_named(tmp_path):
    file, taxpayers = tmp_path / "rates.csv", tmp_path / "taxpayers.csv"
    file.write_text(RATES)
    taxpayers.write_text(TABLE)
    known, pieces = year_ends.rates_of(file), year_ends._pieces(year_ends._rows(taxpayers))
    (_, american), (_, british) = [
        named_of(year_ends.taxpayers_message(each, GermanyTaxpayers(), known)) for each in pieces
    ]

    assert american[0].rates == {}
    assert british[0].rates == {(date(2025, 5, 2), "USD"): Decimal("0.7531")}
    for wrong, said, named in (
        ("country", "land", "must be country, date, currency, rate; were land"),
        ("GB", "FR", "line 2, country"),
        ("2025-05-02", "2.5.2025", "line 2: must be a day"),
        ("0.7531", "much", "line 2: must be a day"),
    ):
        file.write_text(RATES.replace(wrong, said))
        with pytest.raises(Invalid, match=named):
            year_ends.rates_of(file)
