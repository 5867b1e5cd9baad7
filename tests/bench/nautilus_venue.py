"""NautilusTrader's simulated venue, in memory: market orders through its checks and its matching engine, to filled.

PYTHON tests/bench/nautilus_venue.py ORDERS     prints orders a second; PYTHON has nautilus_trader
"""

import sys
import time

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

INSTRUMENTS = 200
# An instant of 0 ends the engine's process.
START_NS = 1_700_000_000_000_000_000


class Sender(Strategy):
    """Sends a market order at each quote."""

    def __init__(self, ids):
        super().__init__(StrategyConfig())
        self.ids = ids
        self.filled = 0

    def on_start(self):
        for each in self.ids:
            self.subscribe_quote_ticks(each)

    def on_quote_tick(self, tick):
        self.submit_order(self.order_factory.market(tick.instrument_id, OrderSide.BUY, Quantity.from_int(10)))

    def on_order_filled(self, _):
        self.filled += 1


def main():
    orders = int(sys.argv[1])
    # Its own limit of orders a second is lifted: it would refuse most.
    config = BacktestEngineConfig(
        logging=LoggingConfig(log_level="ERROR"), risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01")
    )
    engine = BacktestEngine(config)
    money = [Money(1_000_000_000, USD)]
    engine.add_venue(Venue("SIM"), OmsType.NETTING, AccountType.MARGIN, money, base_currency=USD)
    instruments = [TestInstrumentProvider.equity(f"I{number:03}", "SIM") for number in range(INSTRUMENTS)]
    for each in instruments:
        engine.add_instrument(each)
    bid, ask, size = Price.from_str("99.98"), Price.from_str("100.02"), Quantity.from_int(1_000_000)
    engine.add_data(
        [
            QuoteTick(instruments[number % INSTRUMENTS].id, bid, ask, size, size, at, at)
            for number, at in enumerate(range(START_NS, START_NS + orders * 1000, 1000))
        ]
    )
    sender = Sender([each.id for each in instruments])
    engine.add_strategy(sender)
    start = time.perf_counter()
    engine.run()
    taken = time.perf_counter() - start
    if sender.filled != orders:
        raise SystemExit(f"all {orders} orders must be filled, were {sender.filled}")
    sys.stdout.write(f"{orders / taken}\n")


main()
