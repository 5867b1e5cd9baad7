"""How long plans are made yet by reviewed law is told while there is time to act."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from structlog.testing import capture_logs

from services.decision.app.tax_laws import TaxLawApp, TaxLawWriting
from services.decision.main import watching
from services.kernel.clock import FixedClock
from tests.support.telemetry import record


class NothingApproved:
    async def versions(self):
        return ()


async def test_the_days_until_an_unreviewed_tax_year_are_measured_and_warned_of():
    recorded, stop = record(), asyncio.Event()

    @asynccontextmanager
    async def begin():
        # One look is enough.
        stop.set()
        yield TaxLawWriting(NothingApproved(), None)

    # 41 days before 2027, of which the release has no law; the British year of 2026 goes on until 5 April.
    worker = watching(TaxLawApp(FixedClock(datetime(2026, 11, 21, 12, tzinfo=UTC)), begin))
    with capture_logs() as logs:
        await worker.run(stop)

    days = {labels["jurisdiction"]: value for labels, value in recorded.points("evenkeel.tax.law.days")}
    assert days == {"CA": 41, "DE": 41, "GB": 136, "US": 41}
    warned = {(each["jurisdiction"], each["tax_year"]) for each in logs if each["log_level"] == "warning"}
    assert warned == {("CA", 2027), ("DE", 2027), ("US", 2027)}
