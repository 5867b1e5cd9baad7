"""What the running services refuse, by whom and for what it is asked, and that they live on."""

import random
from collections.abc import Callable
from decimal import Decimal

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor

from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.decision.v1 import book_service_pb2 as book
from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import price_service_pb2 as price
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.execution.v1 import execution_service_pb2 as execution
from evenkeel.policy.v1 import policy_service_pb2 as policy
from services.runtime.auth.roles import PERMISSIONS_BY_ROLE
from services.runtime.wire import date_column, decimal_column, decimal_message, instant_message, word_column
from tests.support.contracts import METHODS, permission
from tests.support.refusals import Refused, refused
from tests.support.system import System, a_token
from tests.support.systems import ASKED, on
from tools.cli.documents import document_from_yaml
from tools.client.profile import SERVICES
from tools.client.values import new_request_id
from tools.demo.scenario import CLOSE_TIME, DECISION_DAY, FIRM

pytestmark = on(ASKED)

UNARY = [method for method in METHODS if not method.client_streaming and not method.server_streaming]


@pytest.fixture(scope="module")
def system(asked_system) -> System:
    return asked_system


def bare_channel(system: System, service: str) -> grpc.aio.Channel:
    """A channel with a certificate and nothing else."""
    profile = system.stack.profile
    files = (profile.ca_file, profile.private_key_file, profile.certificate_file)
    credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files if file))
    return grpc.aio.secure_channel(profile.addresses[service], credentials)


async def raw_call(system: System, method: MethodDescriptor, body: bytes, token: str | None) -> Refused | None:
    """Send bytes to a unary method; return how they were refused, or None."""
    service = method.containing_service.full_name.split(".")[1]
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with bare_channel(system, service) as channel:
        try:
            await channel.unary_unary(path)(body, metadata=metadata, timeout=60)
        except grpc.aio.AioRpcError as error:
            return Refused(error)
    return None


@pytest.mark.parametrize("method", UNARY, ids=lambda method: method.full_name)
async def test_nobody_calls_without_a_token_or_without_the_permission(system, method):
    unknown = await raw_call(system, method, b"", None)
    assert unknown is not None
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")

    outsiders = [role for role, held in PERMISSIONS_BY_ROLE.items() if permission(method) not in held]
    outsider = await raw_call(system, method, b"", a_token(system, "olga", *outsiders[:1]))
    assert outsider is not None
    assert (outsider.code, outsider.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert permission(method) in outsider.message


@pytest.mark.parametrize("method", UNARY, ids=lambda method: method.full_name)
async def test_random_bytes_are_refused_in_words_and_the_service_lives_on(system, method):
    draw = random.Random(method.full_name)
    holder = next(role for role, held in PERMISSIONS_BY_ROLE.items() if permission(method) in held)
    token = a_token(system, "fred", holder)
    well = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
    }

    for size in (1, 7, 40, 300):
        answer = await raw_call(system, method, draw.randbytes(size), token)
        assert answer is None or answer.code in well, (answer.code, answer.message)
        assert answer is None or "Traceback" not in answer.message
    await system.stack.serving(method.containing_service.full_name.split(".")[1], within_s=30)


async def test_a_forged_token_and_a_message_beyond_the_limit_are_refused(system):
    get_node = next(method for method in METHODS if method.name == "GetNode")

    forged = await raw_call(system, get_node, b"", "eyJhbGciOiJub25lIn0.e30.")
    assert forged is not None
    assert (forged.code, forged.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")

    token = a_token(system, "ada", "policy_author")
    large = await raw_call(system, get_node, b"\x0a" + b"x" * (17 * 1024 * 1024), token)
    assert large is not None
    assert large.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    for service in SERVICES:
        await system.stack.serving(service, within_s=30)


async def test_an_author_who_also_is_an_approver_still_cannot_approve_their_own_change(system):
    both = a_token(system, "ada.author", "policy_author", "policy_approver")
    author = system.people["policy_author"].policy
    draft = await author.CreateChange(
        policy.CreateChangeRequest(
            request_id=new_request_id(), node_id=FIRM, document=document_from_yaml("tax: {long_term_rate: 0.2}"),
            reason="Mine.",
        )
    )  # fmt: skip
    change = draft.change
    await author.SubmitChange(
        policy.SubmitChangeRequest(request_id=new_request_id(), change_id=change.change_id, etag=change.etag)
    )
    approve = next(method for method in METHODS if method.name == "ApproveChange")
    request = policy.ApproveChangeRequest(
        request_id=new_request_id(), change_id=change.change_id, version_hash=change.version_hash
    )

    answer = await raw_call(system, approve, request.SerializeToString(), both)

    assert answer is not None
    assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL")


EXCLUDED_TARGET = """
targets: {cash_weight: 0, weights: [{instrument_id: MTUM, weight: 1}]}
restrictions: {items: [{instrument_id: MTUM, kind: KIND_EXCLUDED, reason: No.}]}
"""
HALF_A_MIX = "targets: {cash_weight: 0.1, weights: [{instrument_id: MTUM, weight: 0.5}]}"
OUTSIDE = "bands: {trigger: {absolute: 0.01}, destination: {absolute: 0.02}}"
# What is wrong, a part of the field's path, and a value that the description names.
CONTRADICTIONS = {
    "weights that do not sum to one": (HALF_A_MIX, "targets", "0.6"),
    "a destination outside its trigger": (OUTSIDE, "bands.destination", "0.02"),
    "a floor above its ceiling": ("risk: {cash_floor: 0.1, cash_ceiling: 0.05}", "risk.cash_floor", "0.05"),
    "a weight above one": ("risk: {instrument_weight_limit: 1.5}", "risk.instrument_weight_limit", "1.5"),
    "a target that is excluded": (EXCLUDED_TARGET, "restrictions", "MTUM"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
async def test_a_policy_that_contradicts_itself_is_refused_with_fields_and_values(system, name):
    text, field, value = CONTRADICTIONS[name]
    request = policy.CreateChangeRequest(
        request_id=new_request_id(), node_id=FIRM, document=document_from_yaml(text), reason="Try."
    )

    answer = await refused(system.people["policy_author"].policy.CreateChange(request))

    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert any(field in named for named in answer.fields), answer.fields
    assert any(value in description for description in answer.fields.values()), answer.fields


def a_book(spoil: Callable[[book.BookPart], None] = lambda part: None) -> list[book.IngestBookRequest]:
    """A book of one account with one position of one lot, spoiled."""
    request_id = new_request_id()
    header = book.SnapshotHeader(
        provenance=Provenance(source="test", as_of_time=instant_message(CLOSE_TIME)),
        instruments=[
            book.Instrument(
                instrument_id="MTUM",
                currency="USD",
                quantity_increment=decimal_message(Decimal("0.001")),
                tradable=True,
            )
        ],
    )
    part = book.BookPart(
        account_ids=["account-x"],
        household_ids=word_column([""]),
        custodians=word_column(["custodian-a"]),
        currencies=word_column(["USD"]),
        tax_wrappers=word_column(["TAX_WRAPPER_TAXABLE"]),
        cash=decimal_column([Decimal(100)], 2),
        reserved_cash=decimal_column([Decimal(0)], 2),
        short_term_gains=decimal_column([Decimal(0)], 2),
        long_term_gains=decimal_column([Decimal(0)], 2),
        position_accounts=[0],
        position_instruments=word_column(["MTUM"]),
        position_quantities=decimal_column([Decimal(10)], 3),
        position_holdings=word_column(["HOLDING_TRADED"]),
        lot_positions=[0],
        lot_ids=["lot-1"],
        lot_acquired_dates=date_column([DECISION_DAY.replace(year=2020)]),
        lot_quantities=decimal_column([Decimal(10)], 3),
        lot_bases=decimal_column([Decimal(1000)], 2),
    )
    spoil(part)
    return [
        book.IngestBookRequest(request_id=request_id, header=header),
        book.IngestBookRequest(request_id=request_id, part=part),
    ]


def _lots_above_position(part: book.BookPart) -> None:
    part.lot_quantities.units[0] = 11_000


def _unknown_instrument(part: book.BookPart) -> None:
    part.position_instruments.words[0] = "NOBODY"


def _account_twice(part: book.BookPart) -> None:
    part.account_ids.append("account-x")
    for words in (part.household_ids, part.custodians, part.currencies, part.tax_wrappers):
        words.indexes.append(0)
    for column in (part.cash, part.reserved_cash, part.short_term_gains, part.long_term_gains):
        column.units.append(0)


def _negative_quantity(part: book.BookPart) -> None:
    part.position_quantities.units[0] = -10_000


def _future_lot(part: book.BookPart) -> None:
    part.lot_acquired_dates.days[0] += 4000


def _short_column(part: book.BookPart) -> None:
    part.lot_bases.units.pop()


@pytest.mark.parametrize(
    "spoil",
    [_lots_above_position, _unknown_instrument, _account_twice, _negative_quantity, _future_lot, _short_column],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
async def test_a_book_that_cannot_be_is_refused_by_field_and_nothing_of_it_is_kept(system, spoil):
    answer = await refused(system.platform.books.IngestBook(iter(a_book(spoil))))

    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.fields
    missing = await refused(system.advisor.books.GetAccount(book.GetAccountRequest(account_id="account-x")))
    assert missing.reason == "ACCOUNT_NOT_FOUND"


@pytest.mark.parametrize(
    ("prices", "names", "says"),
    [
        ([Decimal(0)], ["MTUM"], "0"),
        ([Decimal(-5)], ["MTUM"], "-5"),
        ([], ["MTUM"], "1"),
        ([Decimal(1)] * 2, ["MTUM"] * 2, "MTUM"),
    ],
    ids=["zero", "negative", "missing", "twice"],
)
async def test_prices_that_cannot_be_are_refused_with_name_and_value(system, prices, names, says):
    request = price.IngestPricesRequest(
        request_id=new_request_id(),
        price_set=price.PriceSet(
            provenance=Provenance(source="test", as_of_time=instant_message(CLOSE_TIME)),
            instrument_ids=names,
            prices=decimal_column(prices, 3),
        ),
    )

    answer = await refused(system.platform.prices.IngestPrices(request))

    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert any(says in description for description in answer.fields.values()), answer.fields


async def test_prices_of_an_instrument_that_no_book_told_are_refused(system):
    request = price.IngestPricesRequest(
        request_id=new_request_id(),
        price_set=price.PriceSet(
            provenance=Provenance(source="test", as_of_time=instant_message(CLOSE_TIME)),
            instrument_ids=["NOBODY"],
            prices=decimal_column([Decimal(1)], 3),
        ),
    )

    assert (await refused(system.platform.prices.IngestPrices(request))).reason == "INSTRUMENT_UNKNOWN"


async def test_a_run_over_an_unknown_account_is_refused_at_the_door(system):
    request = run.StartRunRequest(request_id=new_request_id(), account_ids=["account-00001", "nobody"])

    answer = await refused(system.platform.runs.StartRun(request))

    assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert "nobody" in answer.message


async def test_one_request_id_is_one_request(system):
    scope = execution.TradingScope(kind=execution.TradingScope.KIND_INSTRUMENT, id="BBBY")
    request = execution.HaltRequest(
        request_id=new_request_id(), scope=scope, mode=execution.TRADING_MODE_HALTED, reason="First."
    )
    trader = system.people["trader"].execution
    first = await trader.Halt(request)
    assert await trader.Halt(request) == first

    request.reason = "Second."
    answer = await refused(trader.Halt(request))

    assert (answer.code, answer.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_whoever_halted_cannot_resume(system):
    scope = execution.TradingScope(kind=execution.TradingScope.KIND_INSTRUMENT, id="AMC")
    officer = system.people["risk_officer"].execution
    await officer.Halt(
        execution.HaltRequest(
            request_id=new_request_id(), scope=scope, mode=execution.TRADING_MODE_HALTED, reason="Odd."
        )
    )

    answer = await refused(
        officer.Resume(execution.ResumeRequest(request_id=new_request_id(), scope=scope, reason="Fine."))
    )

    assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_RESUME")


async def test_a_plan_that_does_not_exist_is_told_by_its_id(system):
    answer = await refused(system.advisor.plans.GetPlan(plan.GetPlanRequest(plan_id="plan-of-nobody")))

    assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "PLAN_NOT_FOUND")
    assert "plan-of-nobody" in answer.message
