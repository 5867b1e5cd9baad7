"""A run is one trace, through every stage and whatever process goes on with it; and what is measured of it."""

from services.decision.main import RuntimeTracing
from services.runtime.telemetry import span
from tests.decision.stages.world import needs_trades, on_target
from tests.support.telemetry import record


async def test_every_stage_continues_the_trace_in_which_the_run_was_started(world, monkeypatch):
    recorded = record()
    monkeypatch.setattr("tests.decision.stages.world.NoTracing", RuntimeTracing)
    world.restarted()
    await world.ingest(needs_trades("a1"), on_target("a2"))

    with span("the call") as call:
        trace_id = call.get_span_context().trace_id
        context = call.get_span_context()
    world.trace_parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    run_id = await world.start()
    await world.settle()
    await world.fill_all(run_id)
    await world.settle()

    for name in ("decision.pin", "decision.shard", "decision.solve", "decision.submit", "decision.finish"):
        (found,) = recorded.named(name)
        assert found.context.trace_id == trace_id, name
    (solve,) = recorded.named("decision.solve")
    assert solve.attributes["evenkeel.accounts"] == 2
    assert solve.attributes["evenkeel.solve.max_s"] <= solve.attributes["evenkeel.solve.sum_s"]
    assert {span.context.trace_id for span in recorded.named("decision.book")} == {trace_id}
    outcomes = {labels["outcome"]: count for labels, count in recorded.points("evenkeel.plan.decided")}
    assert outcomes["TRADE"] >= 1
    assert outcomes["NO_TRADE"] >= 1
