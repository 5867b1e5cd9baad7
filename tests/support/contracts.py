"""Every method of every contract."""

from google.protobuf.descriptor import MethodDescriptor

from evenkeel.audit.v1 import audit_service_pb2, export_service_pb2, records_service_pb2
from evenkeel.common.v1 import permission_pb2
from evenkeel.decision.v1 import book_service_pb2, plan_service_pb2, price_service_pb2, run_service_pb2
from evenkeel.execution.v1 import execution_service_pb2, sandbox_service_pb2
from evenkeel.policy.v1 import policy_service_pb2, rollout_service_pb2, stop_service_pb2

CONTRACTS = (
    audit_service_pb2,
    book_service_pb2,
    execution_service_pb2,
    export_service_pb2,
    plan_service_pb2,
    policy_service_pb2,
    price_service_pb2,
    records_service_pb2,
    rollout_service_pb2,
    run_service_pb2,
    sandbox_service_pb2,
    stop_service_pb2,
)
METHODS: list[MethodDescriptor] = [
    method
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def permission(method: MethodDescriptor) -> str:
    """Return what a caller must hold."""
    declared: str = method.GetOptions().Extensions[permission_pb2.permission]
    return declared
