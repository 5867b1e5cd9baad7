"""The demo's firm, through the services' own calls: rules, prices, clients.

Every request id is derived from what is asked, so that a scenario that is loaded twice, or stops half way and starts
again, leaves the same state.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.decision.v1 import book_service_pb2 as book
from evenkeel.decision.v1 import price_service_pb2 as price
from evenkeel.execution.v1 import execution_service_pb2 as execution
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.policy.v1 import policy_service_pb2 as policy
from services.runtime.wire import date_column, decimal_column, decimal_message, instant_message, word_column
from tools.cli.documents import document_from_yaml
from tools.client.session import Evenkeel
from tools.client.values import repeatable_request_id
from tools.demo.population import MODELS, Client, clients
from tools.demo.prices import PRICE_DECIMALS, DailyPrices, factor_etfs, joined, stocks
from tools.demo.reference import cfi, isin

# The last two days that the price data have: decided on the close of one, traded at the close of the other.
DECISION_DAY = date(2022, 12, 27)
TRADE_DAY = date(2022, 12, 28)
# New York's close of the one, and its opening of the other, both standard time.
CLOSE_TIME = datetime(2022, 12, 27, 21, 0, tzinfo=UTC)
MARKET_TIME = datetime(2022, 12, 28, 14, 30, tzinfo=UTC)

CURRENCY = "USD"
FIRM, PROGRAM = "firm", "program-digital"
SANDBOX_SPREAD_BPS = Decimal(4)
SANDBOX = "sandbox"
SANDBOX_FEE_BPS = Decimal("0.2")
SANDBOX_FILL_SHARE_MAX = Decimal("0.4")

# Years of closes that risk is estimated from.
HISTORY_START = date(2019, 12, 27)

PARTS = 250  # accounts in a message of the book
_POLICIES = Path(__file__).parent / "policies"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A firm with its prices and clients."""

    seed: int
    prices: DailyPrices
    clients: Sequence[Client]
    # Where the firm's rules send orders.
    venue_id: str = SANDBOX

    @classmethod
    def build(cls, accounts: int, seed: int, venue_id: str = SANDBOX) -> "Scenario":
        """Return the firm with `accounts` clients that `seed` makes, whose orders go to `venue_id`."""
        prices = joined([factor_etfs(), stocks()])
        return cls(seed, prices, clients(accounts, seed, prices, DECISION_DAY), venue_id)

    @property
    def lot_count(self) -> int:
        """Tax lots of all clients."""
        return sum(len(client.lots) for client in self.clients)

    def request_id(self, *parts: str) -> str:
        """Return the request id that this scenario uses for `parts`, always."""
        return repeatable_request_id("scenario", str(self.seed), str(len(self.clients)), *parts)


async def load_tree(scenario: Scenario, platform: Evenkeel) -> None:
    """Create firm, program, models, households and accounts."""
    kinds = policy.PolicyNode
    nodes = [
        kinds(node_id=FIRM, kind=kinds.KIND_FIRM, display_name="Example Wealth"),
        kinds(node_id=PROGRAM, parent_id=FIRM, kind=kinds.KIND_PROGRAM, display_name="Digital advice"),
    ]
    nodes += [
        kinds(node_id=model.node_id, parent_id=PROGRAM, kind=kinds.KIND_MODEL, display_name=model.name)
        for model in MODELS
    ]
    households = {client.household_id: client.model.node_id for client in scenario.clients}
    nodes += [
        kinds(node_id=household, parent_id=model, kind=kinds.KIND_HOUSEHOLD) for household, model in households.items()
    ]
    nodes += [
        kinds(node_id=client.account_id, parent_id=client.household_id, kind=kinds.KIND_ACCOUNT)
        for client in scenario.clients
    ]
    await platform.policy.CreateNodes(policy.CreateNodesRequest(request_id=scenario.request_id("tree"), nodes=nodes))


async def propose(scenario: Scenario, author: Evenkeel, node_id: str, file: str, reason: str) -> policy.PolicyChange:
    """Draft and submit a document of the demo for a node, and return the change that waits for an approver."""
    text = (_POLICIES / file).read_text().replace(f"venue_id: {SANDBOX}", f"venue_id: {scenario.venue_id}")
    drafted = await author.policy.CreateChange(
        policy.CreateChangeRequest(
            request_id=scenario.request_id("draft", node_id),
            node_id=node_id,
            document=document_from_yaml(text),
            reason=reason,
            effective_time=instant_message(CLOSE_TIME),
        )
    )
    submitted = await author.policy.SubmitChange(
        policy.SubmitChangeRequest(
            request_id=scenario.request_id("submit", node_id),
            change_id=drafted.change.change_id,
            etag=drafted.change.etag,
        )
    )
    return submitted.change


async def approve(scenario: Scenario, approver: Evenkeel, change: policy.PolicyChange) -> policy.PolicyChange:
    """Approve the content of a change as it was read."""
    approved = await approver.policy.ApproveChange(
        policy.ApproveChangeRequest(
            request_id=scenario.request_id("approve", change.node_id),
            change_id=change.change_id,
            version_hash=change.version_hash,
            comment="Read, and agreed.",
        )
    )
    return approved.change


async def load_policies(scenario: Scenario, author: Evenkeel, approver: Evenkeel) -> list[policy.PolicyChange]:
    """Have the firm's rules and both models written by one person and approved by another."""
    firm = await propose(scenario, author, FIRM, "firm.yaml", "House rules for digital advice.")
    approved = [await approve(scenario, approver, firm)]
    for node_id, file, reason in (
        ("model-factor-etfs", "factor_etfs.yaml", "Launch of the factor model."),
        ("model-direct-index", "direct_index.yaml", "Launch of direct indexing."),
    ):
        change = await propose(scenario, author, node_id, file, reason)
        approved.append(await approve(scenario, approver, change))
    return approved


async def load_book(scenario: Scenario, platform: Evenkeel) -> book.Snapshot:
    """Send the book: every client's cash, positions and lots, as columns."""
    request_id = scenario.request_id("book")

    async def requests() -> AsyncIterator[book.IngestBookRequest]:
        yield book.IngestBookRequest(request_id=request_id, header=_header())
        for start in range(0, len(scenario.clients), PARTS):
            yield book.IngestBookRequest(request_id=request_id, part=_part(scenario.clients[start : start + PARTS]))

    response = await platform.books.IngestBook(requests())
    return response.snapshot


async def load_prices(scenario: Scenario, platform: Evenkeel) -> str:
    """Send the closes of the decision day and three years of history to decision; return the price set's id."""
    prices = scenario.prices
    history = prices.between(HISTORY_START, DECISION_DAY)
    source = Provenance(source="skfolio-sample-data", as_of_time=instant_message(CLOSE_TIME))
    await platform.prices.IngestPriceHistory(
        price.IngestPriceHistoryRequest(
            request_id=scenario.request_id("history"),
            provenance=source,
            instrument_ids=history.instrument_ids,
            dates=date_column(history.dates),
            closes=decimal_column((close for column in history.closes for close in column), PRICE_DECIMALS),
        )
    )
    response = await platform.prices.IngestPrices(
        price.IngestPricesRequest(
            request_id=scenario.request_id("prices"),
            price_set=price.PriceSet(
                provenance=source,
                instrument_ids=prices.instrument_ids,
                prices=decimal_column(_closes(prices, DECISION_DAY), PRICE_DECIMALS),
            ),
        )
    )
    return response.price_set_id


async def open_market(scenario: Scenario, platform: Evenkeel) -> None:
    """Give execution its own reference prices, and the sandbox venue the next day's real market."""
    prices = scenario.prices
    await platform.execution.IngestReferencePrices(
        execution.IngestReferencePricesRequest(
            request_id=scenario.request_id("reference"),
            provenance=Provenance(source="skfolio-sample-data", as_of_time=instant_message(CLOSE_TIME)),
            instrument_ids=prices.instrument_ids,
            prices=decimal_column(_closes(prices, DECISION_DAY), PRICE_DECIMALS),
            currency=CURRENCY,
        )
    )
    await platform.sandbox.LoadSandboxMarket(
        sandbox.LoadSandboxMarketRequest(
            request_id=scenario.request_id("market"),
            instrument_ids=prices.instrument_ids,
            prices=decimal_column(_closes(prices, TRADE_DAY), PRICE_DECIMALS),
            currency=CURRENCY,
            spread_bps=decimal_message(SANDBOX_SPREAD_BPS),
            fee_bps=decimal_message(SANDBOX_FEE_BPS),
            seed=scenario.seed,
            fill_share_max=decimal_message(SANDBOX_FILL_SHARE_MAX),
            market_time=instant_message(MARKET_TIME),
        )
    )


def _closes(prices: DailyPrices, day: date) -> list[Decimal]:
    return [prices.close(instrument_id, day) for instrument_id in prices.instrument_ids]


def _header() -> book.SnapshotHeader:
    return book.SnapshotHeader(
        provenance=Provenance(source="custodians-sample", as_of_time=instant_message(CLOSE_TIME)),
        instruments=[
            book.Instrument(
                instrument_id=instrument_id,
                currency=CURRENCY,
                asset_class="equity",
                issuer=instrument_id,
                quantity_increment=decimal_message(model.quantity_increment),
                tradable=True,
                isin=isin(instrument_id),
                cfi=cfi(model),
                full_name=f"{instrument_id} (sample)",
            )
            for model in MODELS
            for instrument_id in model.weights
        ],
    )


def _part(part: Sequence[Client]) -> book.BookPart:
    positions = [
        (row, instrument_id, [lot for lot in client.lots if lot.instrument_id == instrument_id])
        for row, client in enumerate(part)
        for instrument_id in client.model.weights
        if any(lot.instrument_id == instrument_id for lot in client.lots)
    ]
    lots = [(row, lot) for row, (_, _, held) in enumerate(positions) for lot in held]
    return book.BookPart(
        account_ids=[client.account_id for client in part],
        household_ids=word_column([client.household_id for client in part]),
        custodians=word_column([client.custodian for client in part]),
        currencies=word_column([CURRENCY for _ in part]),
        tax_wrappers=word_column([client.tax_wrapper for client in part]),
        cash=decimal_column((client.cash for client in part), 2),
        reserved_cash=decimal_column((Decimal(0) for _ in part), 2),
        short_term_gains=decimal_column((client.short_term_gain for client in part), 2),
        long_term_gains=decimal_column((client.long_term_gain for client in part), 2),
        position_accounts=[row for row, _, _ in positions],
        position_instruments=word_column([instrument_id for _, instrument_id, _ in positions]),
        position_quantities=decimal_column(
            (sum((lot.quantity for lot in held), Decimal(0)) for *_, held in positions), 3
        ),
        position_holdings=word_column(["HOLDING_TRADED" for _ in positions]),
        lot_positions=[row for row, _ in lots],
        lot_ids=[lot.lot_id for _, lot in lots],
        lot_acquired_dates=date_column([lot.acquired_date for _, lot in lots]),
        lot_quantities=decimal_column((lot.quantity for _, lot in lots), 3),
        lot_bases=decimal_column((lot.basis for _, lot in lots), 2),
    )
