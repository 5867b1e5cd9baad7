"""The contract's own rules are checked before any code of ours sees the request."""

from uuid import uuid4

import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode

from evenkeel.audit.v1 import audit_service_pb2 as audit
from services.kernel.errors import Invalid
from services.runtime.interceptors.validation import Validation, has_rules
from tests.runtime.counter.running import add, refused
from tests.runtime.counter.stubs import pb


async def test_every_broken_rule_is_said_at_once_with_field_and_value(counter):
    got = await refused(counter.stub().Add(add(request_id="7", name="x" * 21, amount=101)))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert set(got.fields) == {"request_id", "name", "amount"}
    assert "'7'" in got.fields["request_id"]
    assert "100" in got.fields["amount"]
    assert "was 101" in got.fields["amount"]
    assert counter.handlers.runs == 0


async def test_the_edge_of_a_range_is_inside(counter):
    assert (await counter.stub().Add(add(name="x" * 20, amount=100))).total == 100


async def test_each_message_of_a_stream_is_checked(counter):
    async def requests():
        for amount in (1, 101):
            yield pb.AddAllRequest(request_id=str(uuid4()), name="apples", amount=amount)

    got = await refused(counter.stub().AddAll(requests()))

    assert (got.code, got.fields.keys()) == (StatusCode.INVALID_ARGUMENT, {"amount"})


def test_a_field_inside_a_list_is_named_with_its_position():
    request = audit.AppendRequest(events=[audit.Event(), audit.Event(kind="Not A Kind")])

    with pytest.raises(Invalid) as caught:
        Validation().check(request)

    fields = {violation.field: violation.description for violation in caught.value.violations}
    assert "'Not A Kind'" in fields["events[1].kind"]
    assert "events[0].occurred_time" in fields


def test_a_long_value_is_clipped():
    with pytest.raises(Invalid) as caught:
        Validation().check(add(name="x" * 100_000))

    assert len(caught.value.violations[0].description) < 200


def test_only_contracts_with_rules_are_checked():
    assert has_rules(pb.AddRequest.DESCRIPTOR)
    assert has_rules(audit.AppendRequest.DESCRIPTOR)
    assert not has_rules(pb.GetRequest.DESCRIPTOR)
    assert not has_rules(Empty.DESCRIPTOR)
