"""What the policy service can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import ServiceSettings


class PolicySettings(ServiceSettings):
    """Environment variables `EVENKEEL_POLICY_*`."""

    model_config = SettingsConfigDict(env_prefix="EVENKEEL_POLICY_")

    # The schema that `store/` reads and writes by this name.
    database_schema: str = Field(default="policy", pattern="^policy$")

    # How often the service looks for versions that have taken effect, to tell of them, in seconds.
    announce_period_s: float = Field(default=1.0, gt=0, le=60)
    # How often a follower of `WatchPolicies` looks for what was decided, in seconds.
    watch_period_s: float = Field(default=0.5, gt=0, le=60)
    # About how much of the memory keeps effective policies as they are sent, in bytes.
    policy_cache_bytes: int = Field(default=256 << 20, ge=1 << 20, le=16 << 30)
