"""Computing processes, real ones."""

import asyncio
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from services.decision.api.batches import batch_of
from services.decision.clients.policy_document import read_policy
from services.decision.clients.solvers import SolverProcesses, SolverStopped
from services.decision.domain.batches import BatchInvalid
from services.decision.domain.book import Snapshot, accounts
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.instruments import Instrument
from services.decision.domain.market import Market
from services.decision.domain.plan import NothingDecided, PlanOutcome
from services.decision.domain.prices import PriceHistory, PriceSet, Quote
from services.decision.domain.problem import RiskModel
from services.decision.domain.tax.account_rows import AccountRows, RowFilers
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.filing import Filer, Filing
from services.decision.domain.tax.laws import law_book
from services.decision.domain.tax.ledger import LedgerAccount
from services.kernel.errors import Invalid
from services.kernel.ids import InstrumentId
from tests.decision.books import CLOSE, MORNING, columns
from tests.decision.clients.optimisers import slow_or_deadly
from tests.decision.stages.world import PRICES, a_policy, needs_trades
from tests.support.batches import a_request

IDS = tuple(InstrumentId(each) for each in PRICES)


def a_basis():
    quotes = {InstrumentId(each): Quote(price) for each, price in PRICES.items()}
    instruments = {each: Instrument(each, "USD", Decimal("0.001")) for each in IDS}
    risk = RiskModel(IDS, np.full((3, 1), 0.1), np.full(3, 0.01), "by hand")
    return Basis(
        market=Market(PriceSet("prices-1", "sha256:c", "vendor-a", CLOSE, CLOSE, quotes), instruments),
        risk_model=risk,
        instruments_hash="sha256:i",
        risk_model_hash="sha256:r",
        engine="engine/1",
        as_of_time=MORNING,
        currency="USD",
    )


def an_input(account_id):
    snapshot = Snapshot("snapshot-1", "custodian-a", CLOSE, "sha256:c", 1, 1, 1, CLOSE)
    (book,) = accounts(columns(needs_trades(account_id)), snapshot, 0)
    return AccountInputs(book, f"sha256:{account_id}", read_policy(a_policy()), "sha256:p", ("sha256:v",))


@pytest.fixture(scope="module")
async def solver():
    """One process for all tests here; each leaves it as it should be: able to go on."""
    processes = SolverProcesses(1, account_s_max=20.0, load=slow_or_deadly)
    processes.start()
    yield processes
    processes.stop()


async def outcomes(solver, *account_ids):
    solved = await solver.drafts([an_input(each) for each in account_ids], a_basis())
    assert [each.draft.account_id for each in solved] == list(account_ids)
    return [each.draft.outcome for each in solved]


async def test_accounts_are_decided_in_another_process_in_order(solver):
    assert await outcomes(solver, "a2", "a1", "a3") == [PlanOutcome.TRADE] * 3


async def test_an_account_that_breaks_the_optimiser_fails_by_itself(solver):
    solved = await solver.drafts([an_input(each) for each in ("broken", "a1")], a_basis())

    assert [each.draft.outcome for each in solved] == [PlanOutcome.FAILED, PlanOutcome.TRADE]
    assert solved[0].draft.content.failure.message == "ZeroDivisionError: no such number"


async def test_an_account_that_kills_its_process_is_unsolved_and_the_others_are_decided(solver):
    assert await outcomes(solver, "a1", "deadly", "a2") == [PlanOutcome.TRADE, PlanOutcome.UNSOLVED, PlanOutcome.TRADE]


async def test_an_account_that_takes_too_long_is_given_up_and_the_next_is_decided(solver, monkeypatch):
    with monkeypatch.context() as shorter:
        shorter.setattr(solver, "_account_s_max", 0.2)

        assert await outcomes(solver, "slow") == [PlanOutcome.UNSOLVED]

    assert await outcomes(solver, "a1") == [PlanOutcome.TRADE]


async def test_a_largest_withdrawal_that_takes_too_long_says_for_how_long_it_was_waited(solver, monkeypatch):
    with monkeypatch.context() as shorter:
        shorter.setattr(solver, "_account_s_max", 0.05)
        with pytest.raises(SolverStopped, match=r"the computing process ended, or did not answer within 0\.5 s"):
            await solver.largest_withdrawals(an_input("slow"), a_basis())

    assert await outcomes(solver, "a1") == [PlanOutcome.TRADE]


async def test_the_event_loop_goes_on_while_accounts_are_decided(solver):
    deciding = asyncio.create_task(outcomes(solver, "a1", "a2", "a3"))
    turns = 0
    while not deciding.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 10


async def test_a_caller_that_goes_away_leaves_the_process_usable(solver):
    gone = asyncio.create_task(outcomes(solver, "a1"))
    await asyncio.sleep(0)
    gone.cancel()

    assert await outcomes(solver, "a2") == [PlanOutcome.TRADE]


async def test_risk_is_estimated_there_and_a_history_that_tells_none_is_refused(solver):
    days = tuple(date(2022, 1, 3) + timedelta(days=each) for each in range(120))
    random = np.random.default_rng(3)
    daily = random.normal(0, 0.005, (3, 120)) + random.normal(0, 0.01, 120)
    closes = np.rint(np.exp(daily.cumsum(axis=1)) * 100_000).astype(np.int64)

    def history(count):
        return PriceHistory("history-1", "sha256:c", IDS, days[:count], closes[:, :count], 3, "vendor-a", CLOSE, CLOSE)

    assert (await solver.risk_model(history(120))).instrument_ids == IDS
    with pytest.raises(Invalid, match="must have more than 63 days"):
        await solver.risk_model(history(60))


async def test_why_instruments_are_not_traded_is_told_there_and_what_is_refused_says_why(solver):
    told = await solver.not_traded(an_input("a1"), a_basis())

    assert [each.instrument_id for each in told] == []
    with pytest.raises(NothingDecided, match="POLICY_NOT_IN_FORCE"):
        await solver.not_traded(replace(an_input("a1"), policy=None), a_basis())


@pytest.mark.timeout(600)  # The first on a machine compiles, a minute of processor time.
async def test_batches_are_decided_there_and_what_is_wrong_with_one_is_told(solver):
    request = a_request(3, 1)
    answer = await solver.batch(batch_of(request))
    request.instruments.prices.units[0] = -1

    assert list(answer.plans["outcomes"].content) == [1, 1, 1]
    with pytest.raises(BatchInvalid, match=r"instruments.prices\[0\]: must be at least 0, was -0.01"):
        await solver.batch(batch_of(request))


async def test_processes_that_are_stopped_decide_nothing():
    stopped = SolverProcesses(1, account_s_max=5.0)
    stopped.stop()

    with pytest.raises(SolverStopped):
        await outcomes(stopped, "a1")


async def test_tax_years_are_assessed_in_another_process_and_what_is_refused_comes_back_as_it_was_said(solver):
    book = an_input("a1").account
    account = LedgerAccount(book, Owner.TAXPAYER, book)
    filing = Filing(2024, date(2024, 12, 31), date(2024, 12, 31), {"VTI": Decimal(1)}, law_book(()))
    filers = [
        Filer(rules, [replace(account, account=replace(book, currency=currency))], (), {}, (), {}, {})
        for rules, currency in ((UnitedStatesYear(), "USD"), (UnitedStatesYear(), "EUR"), (Canada(), "CAD"))
    ]
    fine, euro, canada = [each.outcome for each in await solver.year_ends(filing, filers)]

    assert (fine.compiled, canada.compiled) == (True, False)
    assert fine.losses
    assert (euro.reason, euro.facts["account_id"], euro.violations[0].field) == ("TAX_RATE_MISSING", "a1", "account_id")


async def test_accounts_that_came_as_rows_are_assessed_in_another_process(solver):
    filing = Filing(2024, date(2024, 12, 31), date(2024, 12, 31), {"VTI": Decimal(1)}, law_book(()))
    # An account that holds nothing, and one of which columns say nothing.
    nothing, count = bytes(12), len(fields(AccountRows)) - 4
    rows = AccountRows(("a1", "a2"), (True, False), ("USD", "USD"), (False, False), *[(nothing, nothing)] * count)
    filers = RowFilers((3, 8), (UnitedStatesYear(),) * 2, (0, 1), (0, 1), (False, False), rows, {}, frozenset())
    table = await solver.year_end_table(filing, filers)

    assert (table.places.tolist(), table.compiled.tolist()) == ([3], [True])
    assert table.lines[-1][0] == "tax"
    assert table.amounts[-1].units.tolist() == [0]
