"""Policy: a tree of a million accounts, resolved in one stream and one by one, and the memory that it takes.

10 programs, 200 models, 300,000 households and 1,000,000 accounts; every twentieth account has a version of its own.
The tree is written into the service's tables directly, because through the service it would take longer than all that
is measured; versions have their true hashes. The service runs as a process of its own and is called over gRPC.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.kernel.money import Money
from services.policy.domain.content import canonical_bytes, version_id
from services.policy.domain.document import Bands, CostSettings, Document, TaxSettings
from services.policy.domain.mixes import Distance, Targets, TargetWeight
from services.policy.domain.risk_limits import RiskLimits
from services.runtime.bootstrap import Passwords, bootstrap, owner_role, role, service_url
from services.runtime.settings import ServiceSettings
from tests.bench.results import Result
from tools.local.issuer import ISSUER, TokenIssuer
from tools.local.postgres import admin_url

ROOT = Path(__file__).parents[2]
PROGRAMS, MODELS, HOUSEHOLDS, ACCOUNTS = 10, 200, 300_000, 1_000_000
# Every so many accounts have a version of their own.
OWN_EACH = 20
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 2
# Single calls, each about another account: those that are measured, and before them some in which the service comes to
# know what most accounts have, as one that has run for a while does.
CALLS, WARMING_CALLS = 500, 2_000
START_S_MAX = 300.0
STREAM_S_MAX = 300.0
DATABASE = "evenkeel_bench"
PASSWORDS = Passwords(service="policy-bench", owner="policy-owner-bench")


def resolving() -> Sequence[Result]:
    """Measure the stream over all accounts, one account by RPC, and what the service's process holds then."""
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        directory.chmod(0o755)
        url = closing.enter_context(admin_url(directory / "pg", durable=False))
        issuer = TokenIssuer.at(directory)
        loop = closing.enter_context(asyncio.Runner())
        loop.run(_planted(url))
        process, port = _served(url, issuer, directory, closing)
        token = issuer.token("bench", ["compliance_officer"], timedelta(hours=1))
        return loop.run(_measured(port, token, process.pid))


async def _measured(port: int, token: str, process_id: int) -> Sequence[Result]:
    options = [("grpc.max_receive_message_length", 64 << 20)]
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        policy = PolicyServiceStub(channel)
        rates: list[float] = []
        for _ in range(ROUNDS + 1):
            before_s, started = _spent_s(process_id), time.perf_counter()
            seen = 0
            async for part in policy.ResolvePolicies(
                pb.ResolvePoliciesRequest(), metadata=metadata, timeout=STREAM_S_MAX
            ):
                seen += len(part.account_ids)
            if seen != ACCOUNTS:
                raise RuntimeError(f"{seen} accounts came, not {ACCOUNTS}")
            took_s = time.perf_counter() - started
            spent_s = _spent_s(process_id) - before_s
            sys.stderr.write(
                f"  {ACCOUNTS / took_s:,.0f} accounts/s by the clock, {ACCOUNTS / spent_s:,.0f} by the core\n"
            )
            rates.append(ACCOUNTS / spent_s)
        one: list[float] = []
        for number in random.Random(7).sample(range(ACCOUNTS), WARMING_CALLS + CALLS):
            started = time.perf_counter()
            request = pb.GetEffectivePolicyRequest(node_id=f"a{number}")
            await policy.GetEffectivePolicy(request, metadata=metadata, timeout=10)
            one.append((time.perf_counter() - started) * 1000)
    # The first stream is cold.
    return [
        Result("policy.resolve_accounts_per_s", statistics.median(rates[1:]), "accounts/s of one core"),
        Result("policy.resolve_one_ms", statistics.median(one[WARMING_CALLS:]), "ms, median of single calls"),
        Result("policy.memory_mb", _peak_mb(process_id), "MB at most, of the service's process"),
    ]


def _document(*, model: int | None = None, own: int | None = None) -> Document:
    if own is not None:
        return Document(
            risk=RiskLimits(cash_floor=Decimal(own % 50) / 1000),
            cost=CostSettings(turnover_limit=Decimal(2_000 + own % 997) / 10_000),
        )
    if model is not None:
        weights = [Decimal(1 + (model + each) % 7) for each in range(8)]
        lines = [
            TargetWeight((each / sum(weights)).quantize(Decimal("0.0001")), InstrumentId(f"I{row}"))
            for row, each in enumerate(weights[:-1])
        ]
        rest = 1 - sum((line.weight for line in lines), Decimal(0))
        return Document(targets=Targets((*lines, TargetWeight(rest, InstrumentId("I7"))), Decimal(0), f"Model {model}"))
    return Document(
        bands=Bands(Distance(Decimal("0.02"), Decimal("0.2")), Distance(Decimal("0.0175")), Money(Decimal(100), "USD")),
        tax=TaxSettings(jurisdiction="US", short_term_rate=Decimal("0.35"), long_term_rate=Decimal("0.15")),
    )


def _versions() -> Iterator[tuple[str, Document]]:
    yield "firm", _document()
    for model in range(MODELS):
        yield f"m{model}", _document(model=model)
    for account in range(0, ACCOUNTS, OWN_EACH):
        yield f"a{account}", _document(own=account)


async def _planted(url: str) -> None:
    """Make the database, its schema, and the tree with its versions in it."""
    await bootstrap(url, {"policy": PASSWORDS}, DATABASE)
    owner = service_url(url, owner_role("policy"), PASSWORDS.owner, DATABASE)
    settings = ServiceSettings.from_environment(
        database_url=service_url(url, role("policy"), PASSWORDS.service, DATABASE),
        database_owner_url=owner,
        database_schema="policy",
        jwks_url="file:/nonexistent",
        token_issuer=ISSUER,
    )
    # Here, because importing it takes a second and only this benchmark needs it.
    from services.runtime.migrations import run_migrations  # noqa: PLC0415 - for the reason above

    await run_migrations(settings, "services.policy")
    connection = await asyncpg.connect(url, database=DATABASE)
    try:
        await _plant(connection)
    finally:
        await connection.close()


async def _plant(connection: asyncpg.Connection) -> None:
    columns = "node_id, parent_id, kind, display_name, created_time"
    await connection.execute(f"INSERT INTO policy.node ({columns}) VALUES ('firm', NULL, 'firm', '', now())")
    for prefix, count, kind, above in (
        ("p", PROGRAMS, "program", "'firm'"),
        ("m", MODELS, "model", f"'p' || n % {PROGRAMS}"),
        ("h", HOUSEHOLDS, "household", f"'m' || n % {MODELS}"),
        ("a", ACCOUNTS, "account", f"'h' || n % {HOUSEHOLDS}"),
    ):
        await connection.execute(
            f"INSERT INTO policy.node ({columns}) "
            f"SELECT '{prefix}' || n, {above}, '{kind}', '', now() FROM generate_series(0, {count - 1}) AS n",
            timeout=START_S_MAX,
        )
    named = [(node_id, version_id(PolicyNodeId(node_id), said), said) for node_id, said in _versions()]
    await connection.copy_records_to_table(
        "version",
        schema_name="policy",
        columns=["version_id", "node_id", "document", "fields"],
        records=[(name, node_id, canonical_bytes(said).decode(), []) for node_id, name, said in named],
    )
    await connection.copy_records_to_table(
        "change",
        schema_name="policy",
        columns=[
            "change_id", "node_id", "version_id", "reason", "decided", "revision", "author", "created_time", "approver",
            "approver_comment", "decided_time", "effective_time",
        ],
        records=[
            (f"change-{node_id}", node_id, name, "because", "approved", 3, "ann", SINCE, "bob", "", SINCE, SINCE)
            for node_id, name, _ in named
        ],
    )  # fmt: skip
    await connection.copy_records_to_table(
        "activation",
        schema_name="policy",
        columns=[
            "node_id", "sequence", "version_id", "change_id", "effective_time", "recorded_time", "announced_time",
        ],
        records=[(node_id, 1, name, f"change-{node_id}", SINCE, SINCE, SINCE) for node_id, name, _ in named],
    )  # fmt: skip
    await connection.execute("ANALYZE")


def _served(url: str, issuer: TokenIssuer, directory: Path, closing: ExitStack) -> tuple[subprocess.Popen[bytes], int]:
    values = {
        "DATABASE_URL": service_url(url, role("policy"), PASSWORDS.service, DATABASE),
        "JWKS_URL": issuer.jwks_file.as_uri(),
        "TOKEN_ISSUER": ISSUER,
    }
    port_file = directory / "port"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EVENKEEL_", "OTEL_"))},
        **{f"EVENKEEL_POLICY_{name}": value for name, value in values.items()},
        "EVENKEEL_PORT_FILE": str(port_file),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}",
    }
    command = [sys.executable, "-m", "services.policy", "serve"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    closing.callback(process.wait)
    closing.callback(process.terminate)
    until = time.monotonic() + START_S_MAX
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the policy service does not start")
        time.sleep(0.05)
    return process, int(port_file.read_text())


def _spent_s(process_id: int) -> float:
    # proc(5): user and system time are the 14th and 15th field, in clock ticks; the name before them may have spaces.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(process_id: int) -> float:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024
