"""Every method of every contract."""

import importlib
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from evenkeel.common.v1 import permission_pb2

STUBS = Path(__file__).parents[2] / "gen"

# Found, not listed: a contract that somebody adds is tested like the others.
CONTRACTS: list[FileDescriptor] = [
    importlib.import_module(".".join(stub.relative_to(STUBS).with_suffix("").parts)).DESCRIPTOR
    for stub in sorted((STUBS / "evenkeel").rglob("*_service_pb2.py"))
]
METHODS: list[MethodDescriptor] = [
    method for contract in CONTRACTS for service in contract.services_by_name.values() for method in service.methods
]


def permission(method: MethodDescriptor) -> str:
    """Return what a caller must hold."""
    declared: str = method.GetOptions().Extensions[permission_pb2.permission]
    return declared
