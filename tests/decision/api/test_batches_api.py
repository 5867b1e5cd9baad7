"""PreviewBatch as callers see it: a real server with all interceptors."""

import grpc
import pytest

from evenkeel.decision.v1 import batch_service_pb2 as pb
from evenkeel.decision.v1.plan_service_pb2 import Plan
from tests.decision.api.conftest import refused
from tests.support.batches import a_request

# The first on a machine compiles, a minute of processor time.
pytestmark = [pytest.mark.timeout(600)]


async def test_accounts_that_the_caller_brings_get_their_plans_and_broken_ones_their_error(running):
    request = a_request(20, 1)
    request.positions.quantities.units[0] = -1
    response = await running.batches().PreviewBatch(request)

    assert response.plans.outcomes[0] == Plan.OUTCOME_FAILED
    assert set(response.plans.outcomes[1:]) <= {Plan.OUTCOME_TRADE, Plan.OUTCOME_NO_TRADE}
    assert len(response.trades.accounts) > 20
    (error,) = response.errors
    assert (error.account, error.account_id, error.reason) == (0, "account-00000", "BOOK_INVALID")
    assert (error.field, error.description) == (
        "positions.quantities[0]",
        "must be above 0 and fit 59 bits, was -0.0001",
    )
    assert response.engine.startswith("columns")


async def test_what_accounts_share_is_refused_with_every_field(running):
    request = a_request(2, 1)
    request.instruments.prices.units[3] = -1
    request.models.triggers.units.pop()
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID") as fields:
        await running.batches().PreviewBatch(request)

    # The shape comes first: what is in columns of another length cannot be told apart.
    assert fields == dict.fromkeys(fields, "must have 9 rows, had 10")
    assert "models.destinations" in fields


async def test_the_contract_refuses_what_it_can_see_and_a_role_what_it_may_not(running):
    no_currency = a_request(1, 1)
    no_currency.currency = "dollars"
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await running.batches().PreviewBatch(no_currency)
    assert fields.keys() == {"currency"}
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await running.batches(role="client_portal").PreviewBatch(pb.PreviewBatchRequest())
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
