"""A server that answers one read at once: bare, or with everything that our services put around a call.

python -m tests.bench.echo bare|full PORT JWKS_FILE
"""

import asyncio
import sys

import grpc.aio
import uvloop

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceServicer, add_PolicyServiceServicer_to_server
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from services.runtime.settings import ServiceSettings
from tools.local.issuer import ISSUER

ANSWER = pb.GetNodeResponse(node=pb.PolicyNode(node_id="account-1", parent_id="household-1", kind=5, etag="1"))


class Echo(PolicyServiceServicer):
    """Answers `GetNode`, and nothing else."""

    async def GetNode(self, request, context):
        return ANSWER


async def main(kind: str, port: int, jwks_file: str) -> None:
    address = f"127.0.0.1:{port}"
    if kind == "bare":
        bare = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_PolicyServiceServicer_to_server(Echo(), bare)
        bare.add_insecure_port(address)
        await bare.start()
        await bare.wait_for_termination()
        return
    # A read takes no connection, so no database needs to be there; its health is asked once an hour.
    settings = ServiceSettings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        database_schema="policy",
        listen_address=address,
        jwks_url=f"file:{jwks_file}",
        token_issuer=ISSUER,
        health_period_s=60,
    )
    database = Database(settings)
    name = pb.DESCRIPTOR.services_by_name["PolicyService"].full_name
    servicer = Servicer(name, add_PolicyServiceServicer_to_server, Echo())
    server = Server(settings, servicers=[servicer], database=database, package="services.policy")
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
