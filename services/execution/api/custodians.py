"""A custodian's statement: message → values."""

from collections.abc import Mapping
from datetime import date

from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.execution.api.plans import SIDES
from services.execution.app.reconciling import CustodianStatement
from services.execution.domain.custody import Holdings, Trade
from services.execution.domain.movements import ZERO, CustodianMovement, MovementKind, faults
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.wire import date_of, decimal_of, money_of

MOVEMENT_KINDS = {pb.CustodianMovement.Kind.Value(f"KIND_{kind.name}"): kind for kind in MovementKind}


def statement_of(request: pb.IngestCustodianStatementRequest) -> CustodianStatement:
    """Return the statement that a request says.

    Raises:
        Invalid: An account, position or movement is there twice, a trade or movement is of another account, another
            currency or a later day, a movement is none of its kind, or a number is none.
    """
    wrong = Violations()
    day = date_of(request.day, "day")
    accounts: dict[AccountId, Holdings] = {}
    currencies: dict[AccountId, str] = {}
    for index, said in enumerate(request.accounts):
        field, account_id = f"accounts[{index}]", AccountId(said.account_id)
        if account_id in accounts:
            wrong.add(f"{field}.account_id", f"must name each account once, {account_id} was named before")
        positions = {
            InstrumentId(each.instrument_id): decimal_of(each.quantity, f"{field}.positions[{place}].quantity")
            for place, each in enumerate(said.positions)
        }
        if len(positions) != len(said.positions):
            wrong.add(f"{field}.positions", "must name each instrument once")
        cash = money_of(said.cash, f"{field}.cash")
        accounts[account_id], currencies[account_id] = Holdings(positions, cash.amount), cash.currency
    trades = [_trade(each, f"trades[{index}]") for index, each in enumerate(request.trades)]
    for index, trade in enumerate(trades):
        if trade.account_id not in accounts:
            wrong.add(f"trades[{index}].account_id", f"must be an account of the statement, was {trade.account_id}")
        if trade.trade_date > day:
            wrong.add(f"trades[{index}].trade_date", f"must be at most {day}, was {trade.trade_date}")
        if trade.quantity <= 0 or trade.amount <= 0 or trade.fees < 0:
            wrong.add(f"trades[{index}]", "must have a quantity and value above 0 and fees of at least 0")
        of_account = currencies.get(trade.account_id)
        for name, money in (("value", request.trades[index].value), ("fees", request.trades[index].fees)):
            if of_account is not None and money.currency_code != of_account:
                wrong.add(
                    f"trades[{index}].{name}", f"must be in {of_account} as the cash is, was in {money.currency_code}"
                )
    movements = _movements(request, day, currencies, wrong)
    wrong.raise_if_any(Invalid)
    return CustodianStatement(request.custodian, day, accounts, trades, currencies, movements)


def _movements(
    request: pb.IngestCustodianStatementRequest, day: date, currencies: Mapping[AccountId, str], wrong: Violations
) -> list[CustodianMovement]:
    """Return the movements that a request of `day` says, and note what is wrong with them."""
    movements = [_movement(each, f"movements[{index}]", day) for index, each in enumerate(request.movements)]
    references: set[str] = set()
    for index, (said_so, moved) in enumerate(zip(request.movements, movements, strict=True)):
        field = f"movements[{index}]"
        if moved.reference in references:
            wrong.add(f"{field}.reference", f"must name each movement once, {moved.reference} was named before")
        references.add(moved.reference)
        if moved.account_id not in currencies:
            wrong.add(f"{field}.account_id", f"must be an account of the statement, was {moved.account_id}")
        if moved.day > day:
            wrong.add(f"{field}.day", f"must be at most {day}, was {moved.day}")
        of_account = currencies.get(moved.account_id)
        if said_so.HasField("cash") and of_account not in (None, said_so.cash.currency_code):
            said_in = said_so.cash.currency_code
            wrong.add(f"{field}.cash", f"must be in {of_account} as the account's cash is, was in {said_in}")
        for name, words in faults(moved):
            wrong.add(f"{field}.{name}" if name else field, words)
    return movements


def _movement(said: pb.CustodianMovement, field: str, day: date) -> CustodianMovement:
    return CustodianMovement(
        account_id=AccountId(said.account_id),
        reference=said.reference,
        kind=MOVEMENT_KINDS[said.kind],
        day=date_of(said.day, f"{field}.day") if said.HasField("day") else day,
        instrument_id=InstrumentId(said.instrument_id) if said.instrument_id else None,
        units=decimal_of(said.units, f"{field}.units") if said.HasField("units") else ZERO,
        cash=money_of(said.cash, f"{field}.cash").amount if said.HasField("cash") else ZERO,
    )


def _trade(said: pb.CustodianTrade, field: str) -> Trade:
    return Trade(
        account_id=AccountId(said.account_id),
        instrument_id=InstrumentId(said.instrument_id),
        side=SIDES[said.side],
        trade_date=date_of(said.trade_date, f"{field}.trade_date"),
        settlement_date=date_of(said.settlement_date, f"{field}.settlement_date"),
        quantity=decimal_of(said.quantity, f"{field}.quantity"),
        amount=money_of(said.value, f"{field}.value").amount,
        fees=money_of(said.fees, f"{field}.fees").amount,
        reference=said.reference,
    )
