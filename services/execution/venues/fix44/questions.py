"""Asks a broker how orders stand, and waits for what it says.

Each question has an id of its own. Its answers are reports of the session, and come after their commit (`Waiting`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4  # noqa: TID251 - a question's id names nothing but itself

from services.execution.app.venue_port import VenueView
from services.execution.domain.errors import VenueUnreachable
from services.execution.fix.protocol.message import Outgoing
from services.execution.venues.fix44 import asking
from services.execution.venues.fix44.record import KnownOrder
from services.execution.venues.fix44.waiting import Waiting
from services.kernel.ids import VenueId

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions to one broker.

    Attributes:
        venue_id: Whom they are put to.
        waiting: Is told what the broker says.
        ask: Sends a question; raises `VenueUnreachable` when it cannot.
    """

    venue_id: VenueId
    waiting: Waiting
    ask: Callable[[Outgoing], Awaitable[None]]

    async def about(self, order: KnownOrder, within_s: float) -> VenueView | None:
        """Return how an order stands; None when the broker does not know it.

        Raises:
            VenueUnreachable: There was no answer within `within_s`.
        """
        request = f"status:{uuid4()}"
        answer = self.waiting.statuses[request] = asyncio.get_running_loop().create_future()
        try:
            await self.ask(asking.order_status(order.intent, request, order.present_name))
            return await self._in_time(answer, within_s)
        finally:
            del self.waiting.statuses[request]

    async def about_all(self, within_s: float) -> Sequence[VenueView]:
        """Return how all orders stand that the broker has.

        Raises:
            VenueUnreachable: The answer was not complete within `within_s`.
        """
        request = f"mass:{uuid4()}"
        answer = self.waiting.masses[request] = asyncio.get_running_loop().create_future()
        self.waiting.mass_views[request] = {}
        try:
            await self.ask(asking.mass_status(request))
            return await self._in_time(answer, within_s)
        finally:
            del self.waiting.masses[request], self.waiting.mass_views[request]

    async def _in_time(self, answer: "asyncio.Future[_Answer]", within_s: float) -> _Answer:
        try:
            return await asyncio.wait_for(answer, within_s)
        except TimeoutError as error:
            raise VenueUnreachable(
                f"{self.venue_id} did not answer within {within_s} s", venue_id=self.venue_id
            ) from error
