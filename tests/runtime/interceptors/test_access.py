"""Nobody unknown gets in, and nobody does what their roles do not allow."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.counter.running import HOUR, add, refused
from tests.runtime.counter.stubs import pb, rpc
from tools.local.issuer import TokenIssuer

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


async def test_a_call_without_token_is_refused(counter):
    got = await refused(rpc.CounterServiceStub(counter.bare_channel()).Get(pb.GetRequest()))

    assert (got.code, got.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_an_expired_token_is_refused(counter):
    token = counter.issuer.token("ann", ["policy_author"], HOUR, now=YESTERDAY)

    got = await refused(counter.stub(token=token).Get(pb.GetRequest()))

    assert (got.code, got.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


def forged(claims, **header):
    key = Ed25519PrivateKey.generate()
    return jwt.encode(claims, key, algorithm="EdDSA", headers=header)


@pytest.mark.parametrize(
    "header", ["", "x", "Basic x", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", f"Bearer {'x' * 5000}"]
)
async def test_what_is_no_token_is_refused(counter, header):
    stub = rpc.CounterServiceStub(counter.bare_channel())

    got = await refused(stub.Get(pb.GetRequest(), metadata=(("authorization", header),)))

    assert got.code is StatusCode.UNAUTHENTICATED
    assert got.reason in {"TOKEN_INVALID", "TOKEN_MISSING"}


async def test_a_token_by_another_key_is_refused(counter, tmp_path):
    stranger = TokenIssuer.at(tmp_path / "stranger")
    right_id = jwt.get_unverified_header(counter.issuer.token("ann", [], HOUR))["kid"]
    claims = jwt.decode(counter.issuer.token("ann", ["policy_author"], HOUR), options={"verify_signature": False})

    for token in (stranger.token("ann", ["policy_author"], HOUR), forged(claims, kid=right_id), forged(claims)):
        got = await refused(counter.stub(token=token).Get(pb.GetRequest()))
        assert (got.code, got.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(counter):
    claims = jwt.decode(counter.issuer.token("ann", ["policy_author"], HOUR), options={"verify_signature": False})
    kid = jwt.get_unverified_header(counter.issuer.token("ann", [], HOUR))["kid"]
    public = urlsafe_b64decode(json.loads(counter.issuer.jwks_file.read_text())["keys"][0]["x"] + "==")
    for algorithm, key in (("HS256", public), ("none", "")):
        token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})
        got = await refused(counter.stub(token=token).Get(pb.GetRequest()))
        assert got.reason == "TOKEN_INVALID"


async def test_a_token_for_others_or_by_others_is_refused(start, counter):
    elsewhere = counter.issuer.token("ann", ["policy_author"], HOUR, audience="payroll")
    strict = await start(token_issuer="https://other.test")

    assert (await refused(counter.stub(token=elsewhere).Get(pb.GetRequest()))).reason == "TOKEN_INVALID"
    assert (await refused(strict.stub().Get(pb.GetRequest()))).reason == "TOKEN_INVALID"


@pytest.mark.parametrize("nodes", [[], ["east"]])
async def test_who_is_bound_to_policy_nodes_changes_nothing_where_nobody_can_tell(counter, nodes):
    token = counter.issuer.token("ned", ["policy_author"], HOUR, nodes=nodes)

    got = await refused(counter.stub(token=token).Add(add()))

    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "NODE_OUT_OF_SCOPE")


async def test_a_role_without_the_permission_is_refused_and_told_which(counter):
    got = await refused(counter.stub("policy_approver", subject="bob").Add(add()))

    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert got.info.metadata["permission"] == "policy.change"
    assert "bob" in got.message
    assert counter.handlers.runs == 0


async def test_a_role_that_nobody_knows_may_do_nothing(counter):
    assert (await refused(counter.stub("root", "admin").Get(pb.GetRequest()))).reason == "ROLE_MISSING"


@pytest.mark.parametrize("role", ["policy_author", "platform_engineer", "compliance_officer"])
async def test_a_method_that_declares_no_permission_is_refused_to_everybody(counter, role):
    got = await refused(counter.stub(role).Forgotten(pb.GetRequest()))

    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_the_handler_knows_who_calls(counter):
    assert (await counter.stub(subject="ann").Get(pb.GetRequest())).caller == "ann"
    assert (await counter.stub(subject="bob").Get(pb.GetRequest())).caller == "bob"


async def test_health_needs_no_token(counter):
    stub = health_pb2_grpc.HealthStub(counter.bare_channel())

    assert await stub.Check(health_pb2.HealthCheckRequest())
