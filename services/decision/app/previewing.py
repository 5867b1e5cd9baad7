"""Shows what accounts would get on inputs that are not so: several plans side by side, none of them stored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.decision.app.book import AccountNotFound
from services.decision.app.households import household_trades
from services.decision.app.last_decided import NEVER, LastDecided, asked_since, last_decided
from services.decision.app.policies import with_policy
from services.decision.app.ports.policy import PolicyClient, PolicyPreset
from services.decision.app.ports.sessions import Read
from services.decision.app.ports.solving import Solver
from services.decision.app.prices import PriceSetNotFound
from services.decision.app.recalling import basis_of
from services.decision.app.tax_standing import StandingApp
from services.decision.domain.account_problem import RECENT_TRADES
from services.decision.domain.book.account import exchange_day
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.hypotheses import Scenario, WhatIf, supposed, supposed_basis, what_if
from services.decision.domain.plan import Draft, PolicyNotInForce
from services.decision.domain.prices import PriceHistory, PriceHistoryId, PriceSetId
from services.decision.domain.problem import RiskModel
from services.decision.domain.recorded import InstrumentList, recorded_bytes, risk_model_bytes
from services.decision.domain.tax.laws import law_book
from services.decision.domain.transition import Transition
from services.decision.domain.withdrawals import LargestWithdrawal
from services.kernel.canonical import content_hash
from services.kernel.clock import Clock
from services.kernel.errors import NotFound, Violations
from services.kernel.ids import AccountId, PolicyHash

# Name of the plan on the inputs as they are.
AS_IT_IS = "policy"


class PresetNotFound(NotFound):
    """Policy has no preset of this name."""

    reason = "PRESET_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be previewed: the inputs as they are when there are no scenarios.

    Attributes:
        price_set_id: None for the newest.
        philosophies: The policy as it is, and each of policy's philosophies, whether or not anything asks for trades.
        largest_withdrawals: Also what can leave the account at most, on the inputs of the first plan.
    """

    account_id: AccountId
    price_set_id: PriceSetId | None = None
    scenarios: tuple[Scenario, ...] = ()
    philosophies: bool = False
    largest_withdrawals: bool = False


@dataclass(frozen=True, slots=True)
class Previewed:
    """A plan that is not one, and beside the first of its preview."""

    name: str
    draft: Draft
    beside_first: WhatIf | None


@dataclass(frozen=True, slots=True)
class _AsItIs:
    """An account without its policy, the document of that, what it is decided on, and when it was decided last."""

    inputs: AccountInputs
    document: bytes
    basis: Basis
    last: LastDecided


@dataclass(slots=True)
class _Estimated:
    """The risk model that was estimated last: estimating takes longer than deciding."""

    price_history_id: PriceHistoryId | None = None
    model: RiskModel | None = None


@dataclass(frozen=True, slots=True)
class PreviewApp:
    """The use case of previewing. `engine` is what computes in this build."""

    read: Read
    market_clock: Clock
    solver: Solver
    policy: PolicyClient
    engine: str
    currency: str
    standing: StandingApp
    _estimated: _Estimated = field(default_factory=_Estimated)

    async def preview(self, wish: Wish) -> tuple[Sequence[Previewed], Sequence[LargestWithdrawal]]:
        """Return a plan for each scenario, in their order, and the largest withdrawals. Nothing is written.

        Raises:
            AccountNotFound: There is no such account.
            PriceSetNotFound: There are no such prices, or no price history.
            PolicyNotInForce: No policy is in force for the account.
            PresetNotFound: A scenario names a preset that policy does not have.
            Unreachable: Policy does not answer.
            Invalid: A scenario names an instrument that has no price, or money of another currency.
            NothingDecided: Largest withdrawals are asked for, and the policy holds or pauses the account.
        """
        as_of_time = self.market_clock.now()
        presets = await self._presets(wish)
        found = await self._as_it_is(wish, as_of_time)
        basis = found.basis
        scenarios = _scenarios(wish, presets)
        _check(scenarios, found.inputs.account.currency, basis)
        meant = [(self._inputs(found, each, presets), supposed_basis(basis, each)) for each in scenarios]
        drafts = await asyncio.gather(*(self._draft(*each) for each in meant))
        first, wanted = drafts[0], scenarios[0]
        withdrawals = await self.solver.largest_withdrawals(*meant[0]) if wish.largest_withdrawals else ()
        return [
            Previewed(
                each.name,
                draft,
                None
                if draft is first
                else what_if(each.name, first, draft, same_objective=_objective(each) == _objective(wanted)),
            )
            for each, draft in zip(scenarios, drafts, strict=True)
        ], withdrawals

    async def transition(
        self, account_id: AccountId, price_set_id: PriceSetId | None, scenario: Scenario | None, tax_years: int
    ) -> Transition:
        """Return how an account gets to its target over tax years. Nothing is written.

        Raises:
            NothingDecided: Its policy holds or pauses it.
            Fact: As `preview` does.
        """
        supposing = scenario or Scenario(AS_IT_IS)
        wish = Wish(account_id, price_set_id, (supposing,))
        presets = await self._presets(wish)
        found = await self._as_it_is(wish, self.market_clock.now())
        _check((supposing,), found.inputs.account.currency, found.basis)
        meant = self._inputs(found, supposing, presets)
        return await self.solver.transition(meant, supposed_basis(found.basis, supposing), tax_years)

    async def _draft(self, inputs: AccountInputs, basis: Basis) -> Draft:
        (solved,) = await self.solver.drafts([inputs], basis)
        return solved.draft

    async def _presets(self, wish: Wish) -> Mapping[str, PolicyPreset]:
        named = {each.preset for each in wish.scenarios if each.preset}
        if not named and not wish.philosophies:
            return {}
        presets = {each.name: each for each in await self.policy.presets()}
        missing = sorted(named - presets.keys())
        if missing:
            raise PresetNotFound(f"policy has no preset {', '.join(missing)}", preset=missing[0])
        return presets

    def _inputs(self, found: _AsItIs, scenario: Scenario, presets: Mapping[str, PolicyPreset]) -> AccountInputs:
        inputs, document = found.inputs, found.document
        if scenario.preset:
            document = self.policy.overlaid(document, presets[scenario.preset].document)
        if scenario.whole_policy:
            document = scenario.policy_document
        elif scenario.policy_document:
            document = self.policy.overlaid(document, scenario.policy_document)
        if scenario.preset or scenario.policy_document or scenario.whole_policy:
            # What nobody approved came from no version.
            inputs = replace(inputs, policy_hash=PolicyHash(content_hash(document)), policy_version_hashes=())
        inputs = with_policy(inputs, self.policy, document)
        return supposed(asked_since(inputs, found.last, found.basis.as_of_time.date()), scenario)

    async def _as_it_is(self, wish: Wish, as_of_time: datetime) -> _AsItIs:
        # A tax year may have begun since the account's ledger was worked out.
        await self.standing.bring_to([wish.account_id], exchange_day(as_of_time))
        async with self.read() as session:
            found = await session.books.accounts([wish.account_id], trades_since=(as_of_time - RECENT_TRADES).date())
            if not found:
                raise AccountNotFound(f"account {wish.account_id} does not exist", account_id=wish.account_id)
            prices = await session.prices.price_set(wish.price_set_id)
            history = await session.prices.history(None)
            if prices is None or history is None:
                what = "a price history" if prices is not None else f"price set {wish.price_set_id or ''}".strip()
                raise PriceSetNotFound(f"{what} does not exist", price_set_id=wish.price_set_id or "")
            known = await session.books.instruments(prices.quotes.keys())
            laws = law_book(await session.laws.versions())
            since = (as_of_time - RECENT_TRADES).date()
            books = {wish.account_id: found[0]}
            elsewhere = await household_trades(session, books, since)
            # A scenario's policy may ask about money that came, although the one in force does not.
            last = await last_decided(session, books, [wish.account_id])
        risk_model = await self._risk_model(history)
        policies = await self.policy.resolve([wish.account_id], as_of_time)
        policy_hash = policies.policy_of[wish.account_id]
        if not policy_hash:
            raise PolicyNotInForce(f"no policy is in force for account {wish.account_id}", account_id=wish.account_id)
        account = found[0]
        inputs = AccountInputs(
            account=account,
            account_hash=account.account_hash,
            policy=None,
            policy_hash=policy_hash,
            policy_version_hashes=policies.version_hashes[policy_hash],
            household_trades=elsewhere.get(wish.account_id, ()),
        )
        basis = basis_of(
            prices,
            recorded_bytes(
                InstrumentList(
                    tuple(known[each] for each in sorted(known)), laws.reviewed_years(), laws.approved_amounts()
                )
            ),
            risk_model_bytes(risk_model),
            engine=self.engine,
            as_of_time=as_of_time,
            currency=self.currency,
        )
        return _AsItIs(inputs, policies.documents[policy_hash], basis, last.get(wish.account_id, NEVER))

    async def _risk_model(self, history: PriceHistory) -> RiskModel:
        last = self._estimated
        if last.model is None or last.price_history_id != history.price_history_id:
            last.model = await self.solver.risk_model(history)
            last.price_history_id = history.price_history_id
        return last.model


def _scenarios(wish: Wish, presets: Mapping[str, PolicyPreset]) -> Sequence[Scenario]:
    if wish.philosophies:
        named = [each for each in presets.values() if each.philosophy]
        return [
            Scenario(AS_IT_IS, ignore_triggers=True),
            *(Scenario(each.name, preset=each.name, ignore_triggers=True) for each in named),
        ]
    return wish.scenarios or (Scenario(AS_IT_IS),)


def _check(scenarios: Sequence[Scenario], currency: str, basis: Basis) -> None:
    found = Violations()
    for row, scenario in enumerate(scenarios):
        if scenario.currency not in ("", currency):
            name = "deposit" if scenario.deposit else "withdrawal"
            found.add(f"scenarios[{row}].{name}.currency_code", f"must be {currency}, was {scenario.currency}")
        for name, named in (("prices", scenario.prices), ("untouched_instrument_ids", scenario.untouched)):
            for place, instrument_id in enumerate(named):
                if instrument_id not in basis.market.prices.quotes:
                    price_set_id = basis.market.prices.price_set_id
                    found.add(f"scenarios[{row}].{name}[{place}]", f"{instrument_id} has no price in {price_set_id}")
    found.raise_if_any()


def _objective(scenario: Scenario) -> object:
    """Return what must be the same for two objectives to be the same function of the trades."""
    return (
        scenario.preset,
        scenario.policy_document,
        scenario.whole_policy,
        scenario.deposit,
        scenario.withdrawal,
        tuple(sorted(scenario.prices.items())),
    )
