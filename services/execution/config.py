"""What the execution service can be told by its environment."""

from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from services.execution.fix.protocol.schedule import ALWAYS, EVERY_DAY, Always, Schedule
from services.kernel.lei import is_lei
from services.runtime.settings import ServiceSettings

# What a CompID may be: no separator, no blank.
COMP_ID = "^[A-Za-z0-9._-]{1,64}$"


def _lei(text: str) -> str:
    if text and not is_lei(text):
        raise ValueError("must be an LEI (ISO 17442) with its check digits")
    return text


# Empty, or an LEI.
Lei = Annotated[str, AfterValidator(_lei)]


class ExecutionSettings(ServiceSettings):
    """Environment variables `EVENKEEL_EXECUTION_*`."""

    model_config = SettingsConfigDict(env_prefix="EVENKEEL_EXECUTION_")

    # The schema that `store/` reads and writes by this name.
    database_schema: str = Field(default="execution", pattern="^execution$")

    # Decision's public keys, one PEM file each, named `<key id>.pem`; a new key may come before the old one goes.
    plan_keys_directory: Path

    # Where policy listens, as gRPC names targets.
    policy_address: str = Field(min_length=1)
    # Policy's answers are asked for again after this long, in seconds.
    policy_fresh_s: float = Field(default=5.0, ge=0, le=60)
    # While policy does not answer, its last answer counts until it is this old, in seconds; then plans are refused.
    policy_age_max_s: float = Field(default=300.0, ge=0, le=3600)

    # Blocks are formed when nothing new came for this long, in seconds.
    block_quiet_s: float = Field(default=0.5, ge=0, le=60)
    # What may leave is checked again when it was not for this long, in seconds.
    check_again_s: float = Field(default=10.0, gt=0, le=600)
    # Or when the oldest order has waited this long, in seconds.
    block_wait_max_s: float = Field(default=5.0, ge=0, le=600)
    # Orders looked at when blocks are formed, and in one block.
    block_formation_orders_max: int = Field(default=50_000, ge=1, le=1_000_000)
    block_orders_max: int = Field(default=5_000, ge=1, le=100_000)

    # Orders that go in parts: how often a part goes, and over how long at most, in seconds.
    schedule_interval_s: float = Field(default=60.0, gt=0, le=3_600)
    schedule_horizon_s: float = Field(default=3_600.0, gt=0, le=86_400)
    # Buckets of the market's volume, in seconds of a day; how long before an auction its orders leave.
    volume_bucket_s: float = Field(default=300.0, gt=0, le=86_400)
    auction_lead_s: float = Field(default=600.0, gt=0, le=7_200)
    # Implementation shortfall (Almgren and Chriss, 2000): risk aversion per unit of money. And the market, for this and
    # for what blocks are expected to cost: the standard deviation of a day's return, the spread in basis points, and
    # units traded in a day, in place of which an instrument's own count for the expected cost once they are ingested.
    schedule_risk_aversion: Decimal = Field(default=Decimal("0.000001"), ge=0, le=1)
    schedule_daily_volatility: Decimal = Field(default=Decimal("0.0125"), gt=0, le=1)
    schedule_spread_bps: Decimal = Field(default=Decimal(5), gt=0, le=1_000)
    schedule_daily_volume: Decimal = Field(default=Decimal(5_000_000), gt=0)
    # By which model blocks are expected to cost something, and, for ALMGREN_2005, units outstanding over units traded
    # in a day: 263 and 87 for the two stocks of that paper's table 3.
    impact_model: Literal["SQUARE_ROOT", "ALMGREN_2005"] = "SQUARE_ROOT"
    impact_inverse_turnover_days: Decimal = Field(default=Decimal(150), gt=0, le=100_000)

    # How often workers look for what nobody told them of, in seconds: another replica's writing, a venue's reports.
    look_s: float = Field(default=0.1, gt=0, le=60)
    # And how often when nothing happened for some seconds, if that is less often.
    look_calm_s: float = Field(default=1.0, gt=0, le=60)
    # A send without an answer is asked about after this long, in seconds; longer than a send can take.
    resolve_after_s: float = Field(default=2.0, ge=0, le=600)
    # Reports of a venue applied in one transaction.
    reports_max: int = Field(default=200, ge=1, le=10_000)

    # Kept back of what unfinished sells brought, before buys may use it, in basis points.
    proceeds_haircut_bps: Decimal = Field(default=Decimal(100), ge=0, le=10_000)
    # Set aside for a buy above its reference or limit, fees included, in basis points.
    cost_buffer_bps: Decimal = Field(default=Decimal(50), ge=0, le=10_000)
    # Market buys leave as limit orders: at SET_ASIDE, the price at which they cost no more than what is set aside, fees
    # of at most so many basis points included; or at COLLAR, as far above the reference as any price may be. When
    # absent, COLLAR at the sandbox, whose prices may be of another day than ours, and SET_ASIDE at a broker.
    buy_protection: Literal["SET_ASIDE", "COLLAR"] | None = None
    fee_bps_max: Decimal = Field(default=Decimal(10), ge=0, le=1_000)
    # While more money may come: the least that part of a buy is worth sending alone, in the account's currency, and the
    # least share of what waits that goes at once, 0 to 1.
    buy_part_amount_min: Decimal = Field(default=Decimal(1_000), ge=0)
    buy_wave_share_min: Decimal = Field(default=Decimal("0.25"), ge=0, le=1)

    # The exchange whose days and hours count, by its market identifier code (ISO 10383).
    exchange: Literal["XAMS", "XBRU", "XDUB", "XETR", "XLIS", "XLON", "XMIL", "XNYS", "XPAR", "XSWX", "XTSE"] = "XNYS"
    # How long before the close nothing new leaves any more, in seconds; and what becomes of orders that wait while it
    # is closed: CARRY, the next session has them; CANCEL, they are given up; SEND, they leave at any time. When absent,
    # SEND at the sandbox, which never closes, and CARRY at a broker.
    cut_off_s: float = Field(default=0.0, ge=0, le=14_400)
    outside_session: Literal["CARRY", "CANCEL", "SEND"] | None = None

    # How far a price may be from our reference, either way, in basis points.
    price_collar_bps: Decimal = Field(default=Decimal(500), gt=0, le=10_000)
    # Oldest reference price on which an order may leave, in seconds of the market's clock.
    price_age_max_s: float = Field(default=86_400.0, gt=0, le=604_800)

    # Our record is compared with the venue's this often, in seconds; a difference stops what it touches when it is
    # still there after so long.
    reconcile_s: float = Field(default=60.0, gt=0, le=86_400)
    break_grace_s: float = Field(default=30.0, ge=0, le=86_400)

    # Instruments that must not be traded, as a JSON list.
    restricted_instruments: frozenset[str] = frozenset()

    # The firm's own accounts, as a JSON list: in a block with clients they get what is left when every client has all.
    own_accounts: frozenset[str] = frozenset()

    # Whether opposite orders of clients whose policies agree meet here, at the reference price and without a fee,
    # before what is left goes to the market; and the oldest reference price for that, in seconds of the market's clock.
    crossing: bool = False
    crossing_price_age_max_s: float = Field(default=60.0, gt=0, le=86_400)

    # Limits of one order: units, and value in the account's currency.
    order_quantity_max: Decimal = Field(default=Decimal(10_000_000), gt=0)
    order_amount_max: Decimal = Field(default=Decimal(5_000_000), gt=0)
    # Trades in one plan.
    plan_trades_max: int = Field(default=250, ge=1, le=300)
    # Limits of one day: orders and value, of the firm, of one household, account, venue and instrument; and turnover,
    # the lesser of what was bought and what was sold.
    firm_day_orders_max: int = Field(default=2_000_000, ge=0)
    firm_day_amount_max: Decimal = Field(default=Decimal(50_000_000_000), ge=0)
    firm_day_turnover_max: Decimal = Field(default=Decimal(25_000_000_000), ge=0)
    household_day_orders_max: int = Field(default=20_000, ge=0)
    household_day_amount_max: Decimal = Field(default=Decimal(500_000_000), ge=0)
    household_day_turnover_max: Decimal = Field(default=Decimal(250_000_000), ge=0)
    venue_day_orders_max: int = Field(default=2_000_000, ge=0)
    venue_day_amount_max: Decimal = Field(default=Decimal(50_000_000_000), ge=0)
    account_day_turnover_max: Decimal = Field(default=Decimal(25_000_000), ge=0)
    account_day_orders_max: int = Field(default=2_000, ge=0)
    account_day_amount_max: Decimal = Field(default=Decimal(50_000_000), ge=0)
    instrument_day_orders_max: int = Field(default=1_000_000, ge=0)
    instrument_day_amount_max: Decimal = Field(default=Decimal(10_000_000_000), ge=0)

    # What supervisors ask of every order, and audit is told with each plan: the firm's LEI (ISO 17442), the country of
    # the branch that trades (ISO 3166-1), whether the firm is one under Directive 2014/65/EU, the venue's MIC (ISO
    # 10383; XXXX where orders do not reach a trading venue), the broker's LEI, the registered name of the algorithm
    # that executes, and in which capacity the firm trades. What is empty is named as missing in reports.
    firm_lei: Lei = ""
    firm_branch: str = Field(default="", pattern="^$|^[A-Z]{2}$")
    investment_firm: bool = True
    venue_mic: str = Field(default="", pattern="^$|^[A-Z0-9]{4}$")
    broker_lei: Lei = ""
    execution_algorithm: str = Field(default="EVENKEEL-EXECUTION", max_length=50)
    trading_capacity: Literal["AOTC", "DEAL", "MTCH"] = "AOTC"

    # The sandbox venue looks at a new order after this long, in seconds.
    sandbox_latency_s: float = Field(default=0.0, ge=0, le=60)
    # The answer to the n-th, 2n-th… order sent to the sandbox is lost after it took effect; 0 for none.
    sandbox_answers_lost_every: int = Field(default=0, ge=0)
    # Clients trade with the sandbox over FIX on this port; 0 for none. Over TLS when a folder is named; it holds
    # ca.pem, sandbox.pem and sandbox.key, and a client's certificate must carry its CompID as a name.
    sandbox_fix_host: str = Field(default="127.0.0.1", min_length=1)
    sandbox_fix_port: int = Field(default=0, ge=0, le=65_535)
    sandbox_fix_comp_id: str = Field(default="SANDBOX", pattern=COMP_ID)
    sandbox_fix_clients: frozenset[str] = frozenset({"EVENKEEL"})
    # Who of them only gets copies of the others' reports; nobody when empty.
    sandbox_fix_drop_copies_to: str = Field(default="", pattern=f"^$|{COMP_ID}")
    sandbox_fix_tls_directory: Path | None = None

    # Where orders go: to the sandbox, or to a broker over FIX 4.4.
    venue: Literal["sandbox", "fix44"] = "sandbox"
    # The broker: where it listens, and how both sides are called there.
    fix_host: str = ""
    fix_port: int = Field(default=0, ge=0, le=65_535)
    fix_sender_comp_id: str = Field(default="EVENKEEL", pattern=COMP_ID)
    fix_target_comp_id: str = Field(default="BROKER", pattern=COMP_ID)
    # Our account at the broker, sent with each order; left out when empty.
    fix_account: str = ""
    # A folder with ca.pem (who signed the broker's certificate), client.pem and client.key; plain TCP when absent.
    fix_tls_directory: Path | None = None
    # The name that the broker's certificate carries, where that is not the host.
    fix_server_name: str = ""
    # HeartBtInt, in seconds.
    fix_heartbeat_s: int = Field(default=30, ge=1, le=3600)
    # The outcome of an order is unknown after this long without an answer, in seconds.
    fix_answer_s: float = Field(default=2.0, gt=0, le=60)
    # So many orders that are sent together go as one list; 0 for never.
    fix_list_min: int = Field(default=0, ge=0, le=1_000)
    # Whether the broker takes orders for pairs of currencies. Where it does not, plans that need them are refused.
    fix_trades_currencies: bool = True
    # The session is up from this time of day to that one, in the broker's time zone, and its numbers begin anew with
    # each; always, and without an end, when both are absent. It opens on these weekdays, Monday 0, a JSON list; and
    # closes so many days after, 0 for the next time that it is that late, 1 to 7 for a session of a week.
    fix_opens: time | None = None
    fix_closes: time | None = None
    fix_time_zone: str = "UTC"
    fix_weekdays: frozenset[Annotated[int, Field(ge=0, le=6)]] = EVERY_DAY
    fix_days: int = Field(default=0, ge=0, le=7)
    # Our CompID of a second session that brings copies of the reports; none when empty. It is at the same address
    # unless another port is named.
    fix_drop_copy_comp_id: str = Field(default="", pattern=f"^$|{COMP_ID}")
    fix_drop_copy_port: int = Field(default=0, ge=0, le=65_535)

    @model_validator(mode="after")
    def _broker_is_named(self) -> Self:
        if self.venue == "fix44" and not (self.fix_host and self.fix_port):
            raise ValueError("venue fix44 needs fix_host and fix_port")
        if (self.fix_opens is None) != (self.fix_closes is None):
            raise ValueError("fix_opens and fix_closes must be given together, or neither")
        # Refuses what no session can be.
        self.fix_schedule()
        return self

    def fix_schedule(self) -> Schedule | Always:
        """Return when the sessions with the broker are up.

        Raises:
            ValueError: There is no such time zone; or the periods are none, or overlap.
        """
        if self.fix_opens is None or self.fix_closes is None:
            return ALWAYS
        try:
            return Schedule(self.fix_opens, self.fix_closes, self.fix_time_zone, self.fix_weekdays, self.fix_days)
        except ZoneInfoNotFoundError as unknown:
            raise ValueError(
                f"fix_time_zone must be a name of the IANA database, was {self.fix_time_zone}"
            ) from unknown
