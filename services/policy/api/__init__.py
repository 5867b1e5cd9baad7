"""How do callers reach policy over gRPC?"""

from services.policy.api.clients import ProfileServicer
from services.policy.api.rollouts import RolloutServicer
from services.policy.api.servicer import PolicyServicer
from services.policy.api.stops import StopServicer

__all__ = ["PolicyServicer", "ProfileServicer", "RolloutServicer", "StopServicer"]
