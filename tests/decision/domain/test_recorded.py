"""What is recorded reads back to the same, and the same has the same text."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from services.decision.domain.decide import decide
from services.decision.domain.instruments import Instrument
from services.decision.domain.outline import Outline, outline_of
from services.decision.domain.plan import Failure, PlanContent, PlanInputs
from services.decision.domain.plan_parts import planned_lots, read_release
from services.decision.domain.problem import RiskModel
from services.decision.domain.recorded import (
    InstrumentList,
    read_recorded,
    read_risk_model,
    recorded_bytes,
    risk_model_bytes,
)
from tests.support.portfolios import a_market, an_account


@dataclass(frozen=True)
class Everything:
    number: Decimal
    count: int
    flag: bool
    day: date
    instant: datetime
    wait: timedelta
    texts: tuple[str, ...] = ()
    maybe: Decimal | None = None
    table: dict[str, Decimal] = field(default_factory=dict)


EVERYTHING = Everything(
    number=Decimal("1.50"),
    count=-3,
    flag=True,
    day=date(2022, 12, 28),
    instant=datetime(2022, 12, 28, 14, 30, tzinfo=UTC),
    wait=timedelta(seconds=1.5),
    texts=("a", "ß"),
    table={"x": Decimal(1)},
)


def test_a_value_reads_back_equal():
    assert read_recorded(Everything, recorded_bytes(EVERYTHING)) == EVERYTHING


def test_equal_values_have_one_text_and_what_is_at_its_default_is_left_out():
    same = replace(EVERYTHING, number=Decimal("1.5"), texts=("a", "ß"))

    assert recorded_bytes(same) == recorded_bytes(EVERYTHING)
    assert b"maybe" not in recorded_bytes(EVERYTHING)


def test_what_has_no_exact_text_is_refused():
    with pytest.raises(TypeError, match="float"):
        recorded_bytes(replace(EVERYTHING, number=1.5))


@pytest.mark.parametrize(
    "text", [b'{"number": 1}', b'{"nobody": "1"}', b'{"count": "1"}', b'{"number": "one"}', b"[", b'{"flag": 1}']
)
def test_a_text_that_is_none_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        read_recorded(Everything, text)


def test_a_whole_decision_reads_back_equal_and_so_do_its_parts():
    problem = (
        an_account(cash=1000)
        .holding("A", units=100, price=100, basis=120, target="0.5")
        .holding("B", units=0, price=50, target="0.4")
        .build()
    )
    decision = decide(problem, a_market(3, ["A", "B"]))
    content = PlanContent("USD", decision=decision, tax_saved=Decimal("1.25"), targets={"A": Decimal("0.5")})

    text = recorded_bytes(content)

    assert decision.trades
    assert read_recorded(PlanContent, text) == content
    outline = outline_of(decision, "USD", Decimal("1.25"))
    assert read_recorded(Outline, recorded_bytes(outline)) == outline
    lots = {
        trade.instrument_id: [(each.lot_id, each.quantity) for each in trade.lot_sales] for trade in decision.trades
    }
    assert {each: [(lot.lot_id, lot.quantity) for lot in sold] for each, sold in planned_lots(text).items()} == lots


def test_a_plan_without_trades_has_nothing_to_release_and_sells_nothing():
    text = recorded_bytes(PlanContent("USD", failure=Failure("PRICES_STALE", "too old", ("a", "b"))))

    assert planned_lots(text) == {}
    with pytest.raises(ValueError, match="nothing to release"):
        read_release(text)


def test_inputs_and_instruments_read_back_equal():
    inputs = PlanInputs("p", ("v1", "v2"), "a", "s", "ps", "i", "r", "e", EVERYTHING.instant)
    known = InstrumentList((Instrument("A", "USD", Decimal("0.001"), tradable=False),))

    assert read_recorded(PlanInputs, recorded_bytes(inputs)) == inputs
    assert read_recorded(InstrumentList, recorded_bytes(known)) == known


def test_a_risk_model_reads_back_bit_for_bit():
    model = RiskModel(("A", "B"), np.array([[0.1, -0.2], [1 / 3, 0.0]]), np.array([0.04, 1e-9]), "by hand")

    back = read_risk_model(risk_model_bytes(model))

    assert back.instrument_ids == model.instrument_ids
    assert back.exposures.tobytes() == model.exposures.tobytes()
    assert back.specific_variance.tobytes() == model.specific_variance.tobytes()
    assert risk_model_bytes(back) == risk_model_bytes(model)
    with pytest.raises(ValueError, match="must hold 6 numbers, was 5"):
        read_risk_model(risk_model_bytes(model)[:-8])
