"""`evenkeel status`: which services serve."""

import asyncio

import grpc.aio
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tools.cli.context import call, out, table
from tools.client.profile import SERVICES
from tools.client.session import Evenkeel

ANSWER_S = 2.0


def status(context: typer.Context) -> None:
    """Show which services serve; the exit code is 1 if one does not."""

    async def work(services: Evenkeel) -> list[str]:
        return list(await asyncio.gather(*(_health(services, name) for name in SERVICES)))

    states = call(context, "compliance_officer", work)
    rows = table("Services", "service", "health")
    for name, health in zip(SERVICES, states, strict=True):
        rows.add_row(name, health)
    out.print(rows)
    if any(health != "SERVING" for health in states):
        raise typer.Exit(1)


async def _health(services: Evenkeel, name: str) -> str:
    try:
        health = HealthStub(services.channel(name))  # type: ignore[no-untyped-call]  # published without types
        answer = await health.Check(HealthCheckRequest(), timeout=ANSWER_S)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return HealthCheckResponse.ServingStatus.Name(answer.status)
