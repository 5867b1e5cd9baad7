"""How do callers reach policy over gRPC?"""

from services.policy.api.servicer import PolicyServicer

__all__ = ["PolicyServicer"]
