"""Who waits for what a broker says, in this process.

Answers come after the commit: whoever hears them may rely on them.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.execution.app.venue_port import VenueView
from services.execution.domain.errors import VenueUnreachable
from services.execution.venues.fix44.inbound import Applied


@dataclass(slots=True)
class Waiting:
    """Orders under way and questions that are open.

    Attributes:
        orders: Set when the broker said something of the order, or when whoever sends it gave up.
        statuses: Of one order, by the id of the question.
        masses: Of all orders, by the id of the question.
        mass_views: What was said to such a question so far.
    """

    orders: dict[str, asyncio.Event] = field(default_factory=dict)
    statuses: dict[str, asyncio.Future[VenueView | None]] = field(default_factory=dict)
    masses: dict[str, asyncio.Future[Sequence[VenueView]]] = field(default_factory=dict)
    mass_views: dict[str, dict[str, VenueView]] = field(default_factory=dict)

    @contextmanager
    def taking(self, client_order_ids: Sequence[str]) -> Iterator[tuple[frozenset[str], Mapping[str, asyncio.Event]]]:
        """Have the say over those of the orders that nobody else is submitting.

        Yields:
            The orders that are this caller's to send, and what to wait for, of each of `client_order_ids`.
        """
        awaited = {name: self.orders.get(name) or asyncio.Event() for name in client_order_ids}
        taken = frozenset(awaited.keys() - self.orders.keys())
        self.orders.update((name, awaited[name]) for name in taken)
        try:
            yield taken, awaited
        finally:
            for name in taken:
                del self.orders[name]
                # Others who wait for it learn from the record what became of it.
                awaited[name].set()

    def tell(self, applied: Applied) -> None:
        """Wake those who waited for this."""
        for name in applied.answered:
            if event := self.orders.get(name):
                event.set()
        for request, view in applied.statuses:
            if (waiting := self.statuses.get(request)) and not waiting.done():
                waiting.set_result(view)
        for request, mass_view, last in applied.masses:
            views = self.mass_views.get(request)
            if views is None:
                continue
            if mass_view is not None:
                views[mass_view.client_order_id] = mass_view
            if last and not self.masses[request].done():
                self.masses[request].set_result(list(views.values()))
        for request, why in applied.refused_questions:
            for futures in (self.statuses, self.masses):
                if (refused := futures.get(request)) and not refused.done():
                    refused.set_exception(VenueUnreachable(f"the broker does not answer this question: {why}"))
