"""What the decision service can be told by its environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import ServiceSettings


class DecisionSettings(ServiceSettings):
    """Environment variables `EVENKEEL_DECISION_*`."""

    model_config = SettingsConfigDict(env_prefix="EVENKEEL_DECISION_")

    # The schema that `store/` reads and writes by this name.
    database_schema: str = Field(default="decision", pattern="^decision$")

    # Where policy and execution listen, as gRPC names targets. Either may be down: runs wait for it, and say so.
    policy_address: str = Field(min_length=1)
    execution_address: str = Field(min_length=1)

    # The Ed25519 private key that signs plans, as PEM (PKCS 8), and the name by which execution knows it.
    plan_key_file: Path
    plan_key_id: str = Field(min_length=1, max_length=128)

    # The currency of every account that is decided; others are refused, account by account. ISO 4217.
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    # What solves: `columns`, many accounts at once, with the kernel behind it for what does not fit; `kernel`, each
    # account by itself, with the reference behind it for what it cannot bring to its optimum; or `reference`, the model
    # in cvxpy that defines the answer. Part of what a plan is a function of.
    engine: Literal["reference", "kernel", "columns"] = "kernel"
    # Accounts that are decided and written together.
    shard_size: int = Field(default=50, ge=1, le=1000)
    # Processes that compute; as many as there are processors when 0.
    solver_processes: int = Field(default=0, ge=0, le=256)
    # Longest that one account may take, in seconds; then its plan is UNSOLVED and nothing of it is traded.
    solve_s_max: float = Field(default=10.0, gt=0, le=600)
    # Work whose process died is free for another after this time, in seconds; the living renew it.
    lease_s: float = Field(default=6.0, ge=0.5, le=600)
    # How often workers look for work that nobody here told them of, in seconds.
    poll_s: float = Field(default=0.25, gt=0, le=60)
    # And how often when there was none for some seconds, if that is less often.
    poll_calm_s: float = Field(default=1.0, gt=0, le=60)
