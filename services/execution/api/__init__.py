"""How do callers reach execution over gRPC?"""

from services.execution.api.fix import FixServicer
from services.execution.api.sandbox import SandboxServicer
from services.execution.api.servicer import ExecutionServicer

__all__ = ["ExecutionServicer", "FixServicer", "SandboxServicer"]
