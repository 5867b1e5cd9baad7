"""Channels to other services.

    channel = connect("dns:///policy:8443", credentials, services=["evenkeel.policy.v1.PolicyService"])
    with peer_errors("policy"):
        answer = await PolicyServiceStub(channel).GetEffectivePolicy(request)

A call is tried again by itself only when that does no harm: reads, and changes that carry a `request_id`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool

from services.runtime.client.calls import interceptors
from services.runtime.client.renewed import RenewedChannel
from services.runtime.credentials import ClientCredentials, WatchedFile

# Deadline of a call, and of a streaming one, when neither the caller of the stub nor the call being served is stricter.
CALL_S_MAX = 30.0
STREAM_S_MAX = 600.0

MESSAGE_BYTES_MAX = 64 * 1024 * 1024

KEEPALIVE_MS = 30_000
KEEPALIVE_ANSWER_MS = 10_000
# A peer that comes back is found again within this time.
RECONNECT_MS_MIN = 100
RECONNECT_MS_MAX = 3_000
# Longest that a peer may take to accept a connection and to greet. gRPC calls it the least time between two attempts;
# but after a refusal it tries again when the backoff says so, and a busy peer needs more than that for a TLS handshake.
CONNECT_MS_MAX = 5_000

# gRPC's own limit is 5 tries.
TRIES_MAX = 4
# Methods that change nothing, by the words their names begin with.
READS = ("Get", "List", "Batch", "Check", "Diff", "Explain", "Resolve", "Stream", "Watch", "Lint", "Replay", "Verify")
# Idempotent by the ids inside the request.
HARMLESS = frozenset({"evenkeel.audit.v1.AuditService/Append"})


def connect(
    address: str,
    credentials: ClientCredentials | None = None,
    *,
    services: Sequence[str] = (),
    call_s: float = CALL_S_MAX,
    stream_s: float = STREAM_S_MAX,
    token: Callable[[], str] | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """Return a channel to `address`; it connects when it is first used, and again whenever it must.

    A replaced token or certificate is used by calls that begin after that.

    Args:
        address: As gRPC names targets: `host:port`, `dns:///host:port`, `unix:/path`.
        credentials: What we show. Without a `ca_file` in it the channel is not encrypted.
        services: Full names of the services called; their contracts say what may be tried again.
        call_s: Longest that a call may take, in seconds.
        stream_s: Longest that a streaming call may take, in seconds.
        token: Gives the bearer token instead of the file in `credentials`.
        server_name: The name in the server's certificate, when it is not the one in `address`.
    """
    shown = credentials or ClientCredentials()
    if token is None and shown.token_file is not None:
        token = _token_of(WatchedFile(shown.token_file))
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config(services)),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
        ("grpc.min_reconnect_backoff_ms", CONNECT_MS_MAX),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    around = interceptors(address, token, call_s, stream_s)
    if shown.ca_file is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=around)
    paths = (shown.ca_file, shown.private_key_file, shown.certificate_file)
    authority, key, certificate = (None if path is None else WatchedFile(path) for path in paths)

    def secure() -> grpc.aio.Channel:
        read = [None if file is None else file.read() for file in (authority, key, certificate)]
        return grpc.aio.secure_channel(
            address, grpc.ssl_channel_credentials(*read), options=options, interceptors=around
        )

    watched = [file for file in (authority, key, certificate) if file is not None]
    return RenewedChannel(secure, watched, drain_s=stream_s)


def service_config(services: Sequence[str]) -> str:
    """Return how calls are balanced and what is tried again, in gRPC's JSON form."""
    harmless = [
        {"service": service, "method": method.name}
        for service in services
        for method in descriptor_pool.Default().FindServiceByName(service).methods
        if _may_repeat(service, method)
    ]
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if harmless:
        config["methodConfig"] = [
            {
                "name": harmless,
                "retryPolicy": {
                    "maxAttempts": TRIES_MAX,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
        # A peer in trouble is not buried under repeats: each failure takes one token, each success gives half of one.
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.5}
    return json.dumps(config)


def _may_repeat(service: str, method: Any) -> bool:  # noqa: ANN401 - the two descriptor classes share no type
    if f"{service}/{method.name}" in HARMLESS:
        return True
    changes = "request_id" in method.input_type.fields_by_name
    return changes or method.name.startswith(READS)


def _token_of(file: WatchedFile) -> Callable[[], str]:
    return lambda: file.read().decode("ascii").strip()
