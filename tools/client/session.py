"""One connection to all four services, as one person."""

from types import TracebackType
from typing import Self

import grpc.aio
from google.longrunning.operations_pb2_grpc import OperationsStub

from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from evenkeel.audit.v1.export_service_pb2_grpc import ExportServiceStub
from evenkeel.audit.v1.monitor_service_pb2_grpc import MonitorServiceStub
from evenkeel.audit.v1.query_service_pb2_grpc import AuditQueryServiceStub
from evenkeel.audit.v1.records_service_pb2_grpc import RecordsServiceStub
from evenkeel.audit.v1.report_service_pb2_grpc import ReportServiceStub
from evenkeel.audit.v1.witness_service_pb2_grpc import WitnessServiceStub
from evenkeel.decision.v1.batch_service_pb2_grpc import BatchServiceStub
from evenkeel.decision.v1.book_service_pb2_grpc import BookServiceStub
from evenkeel.decision.v1.plan_service_pb2_grpc import PlanServiceStub
from evenkeel.decision.v1.price_service_pb2_grpc import PriceServiceStub
from evenkeel.decision.v1.run_service_pb2_grpc import RunServiceStub
from evenkeel.decision.v1.tax_service_pb2_grpc import TaxServiceStub
from evenkeel.decision.v1.year_end_service_pb2_grpc import YearEndServiceStub
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from evenkeel.execution.v1.fix_service_pb2_grpc import FixServiceStub
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceStub
from evenkeel.policy.v1.rollout_service_pb2_grpc import RolloutServiceStub
from evenkeel.policy.v1.stop_service_pb2_grpc import StopServiceStub
from services.runtime.client import connect
from tools.client.profile import Profile

# Full names of what each service serves; their contracts say which calls are safe to repeat.
CONTRACTS = {
    "policy": tuple(f"evenkeel.policy.v1.{name}Service" for name in ("Policy", "Profile", "Rollout", "Stop")),
    "decision": tuple(
        f"evenkeel.decision.v1.{name}Service" for name in ("Batch", "Book", "Plan", "Price", "Run", "Tax", "YearEnd")
    ),
    "execution": tuple(f"evenkeel.execution.v1.{name}Service" for name in ("Execution", "Fix", "Sandbox")),
    "audit": tuple(
        f"evenkeel.audit.v1.{name}Service"
        for name in ("Audit", "AuditQuery", "Export", "Monitor", "Records", "Report", "Witness")
    ),
}


class Evenkeel:
    """The services' contracts as typed stubs: `async with Evenkeel(profile, "advisor") as services: ...`.

    Every call gets a deadline, the person's token, the trace it is made in, and is repeated where that is safe.
    """

    def __init__(self, profile: Profile, person: str) -> None:
        """Prepare to call as `person`; connects inside `async with`.

        Raises:
            ProfileUnusable: The profile has no token for `person`.
        """
        self.profile = profile
        self._credentials = profile.credentials(person)
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        """Open the channels."""
        for name, address in self.profile.addresses.items():
            self._channels[name] = connect(address, self._credentials, services=CONTRACTS[name])
        decision, execution = self._channels["decision"], self._channels["execution"]
        self.policy = PolicyServiceStub(self._channels["policy"])
        self.profiles = ProfileServiceStub(self._channels["policy"])
        self.rollouts = RolloutServiceStub(self._channels["policy"])
        self.stops = StopServiceStub(self._channels["policy"])
        self.batches = BatchServiceStub(decision)
        self.books = BookServiceStub(decision)
        self.prices = PriceServiceStub(decision)
        self.runs = RunServiceStub(decision)
        self.plans = PlanServiceStub(decision)
        self.taxes = TaxServiceStub(decision)
        self.year_ends = YearEndServiceStub(decision)
        self.operations = OperationsStub(decision)  # type: ignore[no-untyped-call]  # published without types
        self.execution = ExecutionServiceStub(execution)
        self.sandbox = SandboxServiceStub(execution)
        self.fix = FixServiceStub(execution)
        audit = self._channels["audit"]
        self.audit = AuditServiceStub(audit)
        self.audit_queries = AuditQueryServiceStub(audit)
        self.exports = ExportServiceStub(audit)
        self.monitor = MonitorServiceStub(audit)
        self.records = RecordsServiceStub(audit)
        self.reports = ReportServiceStub(audit)
        self.witnesses = WitnessServiceStub(audit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return the channel to `service`, for contracts that have no stub here, such as health."""
        return self._channels[service]
