"""Builds the use cases over a ledger and a venue."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import uuid4  # noqa: TID251 - an attempt to send names nothing but itself

from services.execution.app import ExecutionApp
from services.execution.app.clearing import Clearing
from services.execution.app.converting import Converting
from services.execution.app.crossing import Crossing
from services.execution.app.fills import Fills
from services.execution.app.forming import Forming
from services.execution.app.funding import FundingRules
from services.execution.app.instructing import Instructing
from services.execution.app.intake import Intake
from services.execution.app.policies import PoliciesInForce
from services.execution.app.ports import Begin, Policies
from services.execution.app.queries import Queries
from services.execution.app.reconciling import Reconciling
from services.execution.app.scheduling import ScheduleRules, Scheduling
from services.execution.app.sending import Sending
from services.execution.app.trading import Trading
from services.execution.app.uncrossing import Uncrossing
from services.execution.app.venue_port import VenuePort
from services.execution.config import ExecutionSettings
from services.execution.main.rules import desk_of, hours_of, limits_of, protecting_of, read_keys, routing_of
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.context import continued, trace_parent


def build_app(
    settings: ExecutionSettings,
    begin: Begin,
    venue: VenuePort,
    policies: Policies,
    *,
    clock: Clock,
    market_clock: Clock,
) -> ExecutionApp:
    """Return the use cases over a ledger and a venue."""
    trace = RuntimeTrace()
    hours = hours_of(settings)
    routing = routing_of(settings, venue.venue_id)
    protecting = protecting_of(settings)
    funding = FundingRules(
        haircut_bps=settings.proceeds_haircut_bps,
        cost_buffer_bps=settings.cost_buffer_bps,
        part_amount_min=settings.buy_part_amount_min,
        wave_share_min=settings.buy_wave_share_min,
    )
    in_force = PoliciesInForce(
        policies,
        clock=clock,
        fresh=timedelta(seconds=settings.policy_fresh_s),
        age_max=timedelta(seconds=settings.policy_age_max_s),
    )
    limits = limits_of(settings)
    restricted = frozenset(map(InstrumentId, settings.restricted_instruments))
    own_accounts = frozenset(map(AccountId, settings.own_accounts))
    checked_for = timedelta(seconds=settings.check_again_s)
    break_grace = timedelta(seconds=settings.break_grace_s)
    return ExecutionApp(
        intake=Intake(
            begin=begin,
            policies=in_force,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            keys=read_keys(settings.plan_keys_directory),
            limits=limits,
            restricted=restricted,
            venue_id=venue.venue_id,
            hours=hours,
            break_grace=break_grace,
            trades_currencies=venue.capabilities.trades_currencies,
            desk=desk_of(settings),
        ),
        clearing=Clearing(
            begin=begin,
            policies=in_force,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            limits=limits,
            restricted=restricted,
            funding=funding,
            exchange=hours.exchange,
            checked_for=checked_for,
            break_grace=break_grace,
            orders_max=settings.block_formation_orders_max,
            trades_currencies=venue.capabilities.trades_currencies,
        ),
        forming=Forming(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            hours=hours,
            routing=routing,
            protecting=protecting,
            checked_for=checked_for,
            quiet=timedelta(seconds=settings.block_quiet_s),
            wait_max=timedelta(seconds=settings.block_wait_max_s),
            orders_max=settings.block_formation_orders_max,
            orders_per_block_max=settings.block_orders_max,
            own_accounts=own_accounts,
            crossing=Crossing(
                trace=trace,
                clock=clock,
                market_clock=market_clock,
                exchange=hours.exchange,
                routing=routing,
                funding=funding,
                offered=settings.crossing,
                price_age_max=timedelta(seconds=settings.crossing_price_age_max_s),
                restricted=restricted,
                own_accounts=own_accounts,
            ),
        ),
        scheduling=Scheduling(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            rules=ScheduleRules(
                interval=timedelta(seconds=settings.schedule_interval_s),
                horizon=timedelta(seconds=settings.schedule_horizon_s),
                bucket=timedelta(seconds=settings.volume_bucket_s),
                auction_lead=timedelta(seconds=settings.auction_lead_s),
                risk_aversion=settings.schedule_risk_aversion,
                daily_volatility=settings.schedule_daily_volatility,
                spread_bps=settings.schedule_spread_bps,
                daily_volume=settings.schedule_daily_volume,
            ),
            hours=hours,
            routing=routing,
            protecting=protecting,
            checked_for=checked_for,
            orders_max=settings.block_formation_orders_max,
            orders_per_block_max=settings.block_orders_max,
            own_accounts=own_accounts,
            venue_id=venue.venue_id,
        ),
        sending=Sending(
            begin=begin,
            venue=venue,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            hours=hours,
            new_attempt=lambda: str(uuid4()),
            resolve_after=timedelta(seconds=settings.resolve_after_s),
        ),
        fills=Fills(
            begin=begin,
            venue=venue,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            reports_max=settings.reports_max,
            funding=funding,
            hours=hours,
            converting=Converting(
                clock, market_clock, hours, routing, limits.price_age_max, settings.price_collar_bps, restricted
            ),
        ),
        instructing=Instructing(begin=begin, venue=venue, trace=trace, clock=clock, exchange=hours.exchange),
        uncrossing=Uncrossing(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            funding=funding,
            exchange=hours.exchange,
        ),
        trading=Trading(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            funding=funding,
            hours=hours,
            volume_bucket=timedelta(seconds=settings.volume_bucket_s),
            limits=limits,
            venue_id=venue.venue_id,
        ),
        reconciling=Reconciling(
            begin=begin, venue=venue, clock=clock, market_clock=market_clock, exchange=hours.exchange
        ),
        queries=Queries(
            begin=begin,
            venue=venue,
            clock=clock,
            exchange=hours.exchange,
            volume_bucket=timedelta(seconds=settings.volume_bucket_s),
        ),
    )


class RuntimeTrace:
    """Ties what is done to the trace in which it was ordered."""

    def continued(
        self, trace_parent: str | None, name: str, *, also: Sequence[str] = (), **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Do the work within as a span of the trace `trace_parent`."""
        return continued(trace_parent, name, also=also, **attributes)

    def parent(self) -> str | None:
        """Return the present trace context."""
        return trace_parent()
