"""What the settings say, in the words of the domain."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from services.execution.app.forming import Protecting
from services.execution.app.routing import Routing
from services.execution.config import ExecutionSettings
from services.execution.domain.desk import Desk
from services.execution.domain.exchanges import exchange
from services.execution.domain.expected_cost import CostModel, CostRule
from services.execution.domain.limits import DayLimit, LimitKind, Limits
from services.execution.domain.protection import Protection
from services.execution.domain.trading_hours import Outside, TradingHours
from services.kernel.ids import VenueId
from services.kernel.signing import PublicKey, read_public_key


def desk_of(settings: ExecutionSettings) -> Desk:
    """Return who trades, as the settings say."""
    return Desk(
        firm_lei=settings.firm_lei,
        firm_branch=settings.firm_branch,
        investment_firm=settings.investment_firm,
        venue_mic=settings.venue_mic,
        broker_lei=settings.broker_lei,
        execution_algorithm=settings.execution_algorithm,
        capacity=settings.trading_capacity,
    )


def hours_of(settings: ExecutionSettings) -> TradingHours:
    """Return when orders may leave, as the settings say."""
    at_sandbox = Outside.SEND if settings.venue == "sandbox" else Outside.CARRY
    outside = at_sandbox if settings.outside_session is None else Outside(settings.outside_session)
    return TradingHours(exchange(settings.exchange), outside, timedelta(seconds=settings.cut_off_s))


def routing_of(settings: ExecutionSettings, connected: VenueId) -> Routing:
    """Return where blocks go, and why not elsewhere, as the settings say."""
    absent = {
        VenueId("sandbox"): "orders go to a broker here, and a simulator trades with nobody",
        VenueId("fix44"): "no broker is connected here",
    }
    return Routing(
        connected=connected,
        mic=settings.venue_mic,
        others={name: why for name, why in absent.items() if name != connected},
        costs=CostRule(
            model=CostModel(settings.impact_model),
            spread_bps=settings.schedule_spread_bps,
            daily_volume=settings.schedule_daily_volume,
            daily_volatility=settings.schedule_daily_volatility,
            inverse_turnover_days=settings.impact_inverse_turnover_days,
        ),
    )


def protecting_of(settings: ExecutionSettings) -> Protecting:
    """Return how dear market buys may be, as the settings say."""
    at_sandbox = Protection.COLLAR if settings.venue == "sandbox" else Protection.SET_ASIDE
    by = at_sandbox if settings.buy_protection is None else Protection(settings.buy_protection)
    return Protecting(by, settings.price_collar_bps, settings.fee_bps_max)


def limits_of(settings: ExecutionSettings) -> Limits:
    """Return the pre-trade limits that the settings say."""
    return Limits(
        order_quantity_max=settings.order_quantity_max,
        order_amount_max=settings.order_amount_max,
        trades_per_plan_max=settings.plan_trades_max,
        days={
            LimitKind.FIRM: DayLimit(
                settings.firm_day_orders_max, settings.firm_day_amount_max, settings.firm_day_turnover_max
            ),
            LimitKind.HOUSEHOLD: DayLimit(
                settings.household_day_orders_max,
                settings.household_day_amount_max,
                settings.household_day_turnover_max,
            ),
            LimitKind.ACCOUNT: DayLimit(
                settings.account_day_orders_max, settings.account_day_amount_max, settings.account_day_turnover_max
            ),
            LimitKind.VENUE: DayLimit(settings.venue_day_orders_max, settings.venue_day_amount_max),
            LimitKind.INSTRUMENT: DayLimit(settings.instrument_day_orders_max, settings.instrument_day_amount_max),
        },
        collar_bps=settings.price_collar_bps,
        price_age_max=timedelta(seconds=settings.price_age_max_s),
        cost_buffer_bps=settings.cost_buffer_bps,
    )


def read_keys(directory: Path) -> Mapping[str, PublicKey]:
    """Return decision's public keys by their ids.

    Raises:
        ValueError: There is none, or one is no Ed25519 key.
    """
    keys = {file.stem: read_public_key(file.read_bytes()) for file in sorted(directory.glob("*.pem"))}
    if not keys:
        raise ValueError(f"{directory} must hold decision's public keys as <key id>.pem, was empty")
    return keys
