"""A server starts, says how it is, describes itself, and goes without losing a call."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime.client import connect
from services.runtime.credentials import ClientCredentials
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from services.runtime.workers import Worker
from tests.runtime.counter.running import HOUR, add, refused, until
from tests.runtime.counter.service import FULL_NAME, Counters
from tests.runtime.counter.stubs import pb, rpc
from tools.local.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(running, service=FULL_NAME):
    stub = health_pb2_grpc.HealthStub(running.bare_channel())
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def becomes(running, wanted):
    async def looks():
        return await health(running) == wanted

    await until(looks)


@pytest.mark.parametrize("service", ["", FULL_NAME])
async def test_a_server_with_its_database_serves(counter, service):
    await becomes(counter, SERVING)

    assert await health(counter, service) == SERVING


async def as_owner(settings, statement):
    """Change the schema as only its owner may."""
    database = Database(settings.model_copy(update={"database_url": settings.database_owner_url}))
    async with database.begin() as transaction:
        await transaction.connection.exec_driver_sql(statement)
    await database.close()


async def test_a_server_without_its_tables_does_not_serve_until_they_are_there(start, counter_settings):
    await as_owner(counter_settings, "ALTER TABLE policy.alembic_version RENAME TO hidden")
    counter = await start()
    assert await health(counter) == NOT_SERVING
    await as_owner(counter_settings, "ALTER TABLE policy.hidden RENAME TO alembic_version")

    await becomes(counter, SERVING)


@pytest.mark.parametrize(("revision", "wanted"), [("0000", NOT_SERVING), ("9999", SERVING)])
async def test_an_older_schema_is_waited_for_and_a_newer_one_served(start, counter_settings, revision, wanted):
    await as_owner(counter_settings, f"UPDATE policy.alembic_version SET version_num = '{revision}'")
    counter = await start()

    await becomes(counter, wanted)


async def test_a_server_whose_database_goes_away_says_so_and_comes_back(counter, counter_database):
    await becomes(counter, SERVING)
    stub = counter.stub()
    administrator = await asyncpg.connect(counter_database.admin_server_url)
    name = counter_database.name
    await administrator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

    await becomes(counter, NOT_SERVING)
    got = await refused(stub.Get(pb.GetRequest()))
    assert (got.code, got.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNREACHABLE")

    await administrator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    await administrator.close()
    await becomes(counter, SERVING)
    assert (await stub.Get(pb.GetRequest())).total == 0


async def test_connections_that_the_database_cuts_are_replaced(counter):
    stub = counter.stub(services=[FULL_NAME])
    await stub.Add(add())
    async with counter.database.dedicated() as connection:
        others = "usename = current_user AND pid <> pg_backend_pid()"
        await connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    # The client tries a read again when the database was unreachable.
    assert (await stub.Get(pb.GetRequest(name="apples"))).total == 1
    await becomes(counter, SERVING)


async def test_health_does_not_need_the_pool(start):
    counter = await start(database_pool_size=1)
    sleeping = asyncio.ensure_future(counter.stub().Sleep(pb.SleepRequest(seconds=60)))
    await counter.handlers.sleeping.wait()

    await becomes(counter, SERVING)
    sleeping.cancel()


async def test_a_server_serves_only_when_all_it_needs_is_ready(start):
    needed = asyncio.Event()

    async def ready():
        return needed.is_set()

    counter = await start(ready=ready)
    assert await health(counter) == NOT_SERVING
    needed.set()

    await becomes(counter, SERVING)


async def test_a_server_describes_its_contracts_only_if_told_to(start):
    open_one, closed_one = await start(reflection=True), await start(reflection=False)

    async def ask(running):
        stub = reflection_pb2_grpc.ServerReflectionStub(running.bare_channel())
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=FULL_NAME)
        answer = await stub.ServerReflectionInfo(iter([request])).read()
        return FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0]).package

    assert await ask(open_one) == "evenkeel.countertest.v1"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(closed_one)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_drain_finishes_the_calls_in_flight_and_takes_no_new_ones(counter_settings, issuer):
    database = Database(counter_settings)
    handlers = Counters(database)
    ended = []

    async def work(stop):
        await stop.wait()
        ended.append("worker")

    server = Server(
        counter_settings,
        servicers=[Servicer(FULL_NAME, rpc.add_CounterServiceServicer_to_server, handlers)],
        database=database,
        package="tests.runtime.counter",
        workers=[Worker("work", work)],
    )
    port = await server.start()
    token = issuer.token("ann", ["policy_author"], HOUR)
    channel = connect(f"127.0.0.1:{port}", token=lambda: token)
    stub = rpc.CounterServiceStub(channel)
    handlers.go.clear()
    in_flight = [asyncio.ensure_future(stub.Add(add(amount=1))) for _ in range(6)]
    await until(lambda: handlers.runs == 4)
    draining = asyncio.ensure_future(server.drain())
    await until(lambda: not server.health.serving)

    async def no_new_ones():
        try:
            await stub.Get(pb.GetRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
        return False

    await until(no_new_ones)
    handlers.go.set()

    assert sorted([answer.total for answer in await asyncio.gather(*in_flight)]) == [1, 2, 3, 4, 5, 6]
    await draining
    assert ended == ["worker"]
    await channel.close()
    await database.close()


async def test_mutual_tls_keeps_strangers_out_and_takes_new_certificates(start, tmp_path, monkeypatch):
    monkeypatch.setattr("services.runtime.credentials.LOOK_AGAIN_S", 0)
    authority = Authority.at(tmp_path / "authority")
    mine, theirs = authority.issue("counter"), authority.issue("caller")
    counter = await start(
        tls_certificate_file=mine.certificate_file,
        tls_private_key_file=mine.private_key_file,
        tls_client_ca_file=authority.certificate_file,
    )
    shown = ClientCredentials(
        ca_file=authority.certificate_file,
        certificate_file=theirs.certificate_file,
        private_key_file=theirs.private_key_file,
    )

    assert (await counter.stub(credentials=shown).Get(pb.GetRequest())).total == 0
    for stranger in (None, ClientCredentials(ca_file=authority.certificate_file)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await counter.stub(credentials=stranger).Get(pb.GetRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    renewed = Authority.at(tmp_path / "another authority")
    new_mine, new_theirs = renewed.issue("counter"), renewed.issue("caller")
    for old, new in (
        (mine.certificate_file, new_mine.certificate_file),
        (mine.private_key_file, new_mine.private_key_file),
        (authority.certificate_file, renewed.certificate_file),
    ):
        old.write_bytes(new.read_bytes())
    new_shown = ClientCredentials(
        ca_file=renewed.certificate_file,
        certificate_file=new_theirs.certificate_file,
        private_key_file=new_theirs.private_key_file,
    )
    assert (await counter.stub(credentials=new_shown).Get(pb.GetRequest())).total == 0


async def test_a_drain_ends_the_streams_that_would_go_on(start):
    counter = await start(drain_s=60)
    counter.handlers.go.clear()
    call = counter.stub().Watch(pb.WatchRequest(up_to=1))
    assert (await call.read()).number == 1
    async with asyncio.timeout(60):
        await counter.server.drain()

    got = await refused(call.read())
    assert (got.code, got.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_STOPPING")


PROGRAM = """
import asyncio, os
from services.runtime.database import Database
from services.runtime.server import Servicer, run, serve
from services.runtime.settings import ServiceSettings
from tests.runtime.counter.service import FULL_NAME, Counters
from tests.runtime.counter.stubs import rpc

async def main():
    settings = ServiceSettings.from_environment()
    database = Database(settings)
    servicer = Servicer(FULL_NAME, rpc.add_CounterServiceServicer_to_server, Counters(database))
    await serve(settings, name="counter", servicers=[servicer], database=database, package="tests.runtime.counter")

run(main())
"""


async def test_a_process_says_its_port_serves_and_ends_well_when_told(counter_settings, issuer, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "EVENKEEL_PORT_FILE": str(tmp_path / "port"),
        "DATABASE_URL": counter_settings.database_url.get_secret_value(),
        "DATABASE_SCHEMA": "policy",
        "JWKS_URL": counter_settings.jwks_url,
        "TOKEN_ISSUER": counter_settings.token_issuer,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    await until((tmp_path / "port").exists, within_s=60)
    token = issuer.token("ann", ["policy_author"], HOUR)
    channel = connect(f"127.0.0.1:{(tmp_path / 'port').read_text().strip()}", token=lambda: token)
    stub = rpc.CounterServiceStub(channel)
    call = asyncio.ensure_future(stub.Sleep(pb.SleepRequest(seconds=1)))
    assert (await stub.Add(add(amount=3))).total == 3
    process.send_signal(signal.SIGTERM)
    output, _ = await asyncio.wait_for(process.communicate(), 30)

    await call
    assert process.returncode == 0
    assert b'"event": "draining"' in output
    assert output.strip().endswith(b"}")
    await channel.close()
