"""What `evenkeel trading` shows of halts."""

from io import StringIO

from rich.console import Console

from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.trading import halts_table


def test_all_who_stopped_a_scope_are_shown_and_first_whose_reason_is():
    scope = pb.TradingScope(kind=pb.TradingScope.KIND_INSTRUMENT, id="VTI")
    halt = pb.TradingHalt(scope=scope, mode=pb.TRADING_MODE_HALTED, actor="ruth", reason="storm")
    halt.also_halted_by.extend(["omar", "tess"])
    shown = StringIO()

    Console(width=120, file=shown).print(halts_table([halt]))

    (row,) = [line for line in shown.getvalue().splitlines() if "VTI" in line]
    assert "ruth, omar, tess" in row
    assert row.rstrip().endswith("storm")
