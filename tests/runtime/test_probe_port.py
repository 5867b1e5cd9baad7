"""Health has a port of its own for probes that speak no TLS, and nothing else is served there."""

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.counter.running import add, until
from tests.runtime.counter.stubs import rpc


async def test_the_probe_port_answers_health_and_no_other_call(start):
    counter = await start(health_address="127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{counter.server.health_port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def serving() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
            return answer.status == health_pb2.HealthCheckResponse.SERVING

        await until(serving)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.CounterServiceStub(channel).Add(add(), timeout=2)

        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_there_is_no_probe_port_unless_it_is_asked_for(counter):
    assert counter.server.health_port == 0
