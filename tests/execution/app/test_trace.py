"""A plan's trace goes on through its block, its order at the venue, its fills and its allocations."""

from opentelemetry import trace

from tests.execution.builders import a_plan
from tests.support.telemetry import record

STEPS = ["execution.block.form", "execution.block.send", "execution.block.fill", "execution.order.allocate"]
STEPS += ["execution.block.instruct"]


async def test_every_step_continues_the_trace_of_the_submission(world):
    await world.market(VTI=100)
    recorded = record()
    with trace.get_tracer("test").start_as_current_span("run") as run:
        await world.submit(a_plan(), a_plan(plan="plan-2", account="acc-2"))
    await world.run()

    for name in STEPS:
        assert {span.context.trace_id for span in recorded.named(name)} == {run.get_span_context().trace_id}, name
    reports = await world.reports()
    assert all(f"{run.get_span_context().trace_id:032x}" in each.trace_parent for each in reports)


async def test_a_block_of_two_runs_belongs_to_one_and_links_to_the_other(world):
    await world.market(VTI=100)
    recorded = record()
    runs = []
    for number in (1, 2):
        with trace.get_tracer("test").start_as_current_span("run") as run:
            runs.append(run.get_span_context().trace_id)
            await world.submit(a_plan(plan=f"plan-{number}", account=f"acc-{number}"))
    await world.run()

    (span,) = recorded.named("execution.block.form")
    assert {span.context.trace_id} | {link.context.trace_id for link in span.links} == set(runs)
