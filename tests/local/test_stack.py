"""The four services as processes of one machine: they come up, come back, and end well."""

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.systems import TRADING, on, reachable_directory, running
from tools.client.profile import SERVICES
from tools.local.stack import LocalStack, StackFailed

pytestmark = on(TRADING)


@pytest.fixture(scope="module")
def directory():
    with reachable_directory() as made:
        yield made


@pytest.fixture
async def stack(trading_system):
    await trading_system.whole()
    return trading_system.stack


async def health(profile, service, certificate=True):
    paths = (profile.private_key_file, profile.certificate_file) if certificate else ()
    credentials = grpc.ssl_channel_credentials(profile.ca_file.read_bytes(), *(path.read_bytes() for path in paths))
    async with grpc.aio.secure_channel(profile.addresses[service], credentials) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def test_the_shared_system_is_known_to_run_so_that_it_is_stopped_after_the_last_who_needs_it(stack):
    assert TRADING in running


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_serves(stack, service):
    assert await health(stack.profile, service) == "SERVING"


async def test_a_caller_without_a_certificate_is_refused(stack):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await health(stack.profile, "policy", certificate=False)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_killed_service_comes_back_at_its_address(stack):
    address = stack.profile.addresses["policy"]
    stack.kill("policy")
    assert not stack.running("policy")

    stack.start("policy")
    await stack.serving("policy")

    assert stack.profile.addresses["policy"] == address
    assert await health(stack.profile, "policy") == "SERVING"


async def test_a_stopped_service_ends_well_and_can_be_started_again(stack):
    await stack.stop("policy")

    assert await stack.ended("policy") == 0
    stack.start("policy")
    await stack.serving("policy")


async def test_a_service_that_runs_is_not_started_twice(stack):
    with pytest.raises(ValueError, match="policy runs already"):
        stack.start("policy")


async def test_people_and_services_have_tokens_that_name_one_role(stack):
    said = {path.name: path.stat().st_mode & 0o777 for path in (stack.directory / "tokens").iterdir()}

    assert set(stack.profile.token_files) < set(said)
    assert all(mode == 0o600 for name, mode in said.items() if name != "jwks.json")


async def test_a_service_that_cannot_start_is_named_with_its_own_words(stack):
    (key,) = (stack.directory / "certificates").glob("policy*key*")
    stack.kill("policy")
    key.rename(hidden := key.with_suffix(".hidden"))

    stack.start("policy")
    with pytest.raises(StackFailed, match=rf"(?s)policy ended by itself.*{key.name}"):
        await stack.serving("policy")

    hidden.rename(key)
    stack.start("policy")
    await stack.serving("policy")


async def test_settings_that_make_no_sense_stop_the_start(directory):
    broken = LocalStack(directory / "broken", durable=False, environment={"EVENKEEL_AUDIT_LOG_ORIGIN": "two words"})

    with pytest.raises(StackFailed, match=r"(?s)migrate .*log_origin"):
        async with broken:
            pass
