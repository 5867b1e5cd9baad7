"""Certificates are replaced while a client runs."""

import asyncio

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from services.runtime.client import connect
from services.runtime.credentials import ClientCredentials
from tools.local.certificates import Authority


class Mirror(grpc.GenericRpcHandler):
    """Tells each caller the name in its certificate; a stream tells it again when asked to go on."""

    def __init__(self):
        self.go_on = asyncio.Event()

    def service(self, details):
        def name(context):
            return StringValue(value=context.auth_context()["x509_common_name"][0].decode())

        async def once(request, context):
            return name(context)

        async def twice(request, context):
            yield name(context)
            await self.go_on.wait()
            yield name(context)

        kinds = {
            "/Mirror/Once": (grpc.unary_unary_rpc_method_handler, once),
            "/Mirror/Twice": (grpc.unary_stream_rpc_method_handler, twice),
        }
        handler, answer = kinds[details.method]
        return handler(answer, lambda data: data, lambda message: message.SerializeToString())


@pytest.fixture
def look_always(monkeypatch):
    monkeypatch.setattr("services.runtime.credentials.LOOK_AGAIN_S", 0)


@pytest.fixture
async def mirror():
    mirror, servers = Mirror(), []

    async def serve(authority, port=0):
        own = authority.issue("mirror")
        server = grpc.aio.server(handlers=[mirror])
        pairs = [(own.private_key_file.read_bytes(), own.certificate_file.read_bytes())]
        trusted = authority.certificate_file.read_bytes()
        credentials = grpc.ssl_server_credentials(pairs, trusted, require_client_auth=True)
        mirror.port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        await server.start()
        servers.append(server)
        return server

    mirror.serve = serve
    yield mirror
    for server in servers:
        await server.stop(None)


@pytest.fixture
async def client(mirror, tmp_path):
    """A client whose files are replaced by `client.shows(authority, name)`."""
    files = [tmp_path / name for name in ("ca.pem", "own.key", "own.pem")]

    def shows(authority, name):
        issued = authority.issue(name)
        sources = (authority.certificate_file, issued.private_key_file, issued.certificate_file)
        for file, source in zip(files, sources, strict=True):
            file.write_bytes(source.read_bytes())

    class Client:
        channel = None

        def open(self):
            ca_file, private_key_file, certificate_file = files
            self.channel = connect(
                f"127.0.0.1:{mirror.port}",
                ClientCredentials(None, ca_file, certificate_file, private_key_file),
                stream_s=20,
            )
            self.once = self._method(self.channel.unary_unary, "/Mirror/Once")
            self.twice = self._method(self.channel.unary_stream, "/Mirror/Twice")

        def _method(self, kind, path):
            return kind(path, lambda message: message.SerializeToString(), StringValue.FromString)

        async def name(self):
            return (await self.once(StringValue())).value

    client = Client()
    client.shows, client.files = shows, files
    yield client
    await client.channel.close()


async def test_a_call_shows_the_certificate_in_the_files_now(mirror, client, tmp_path, look_always):
    authority = Authority.at(tmp_path / "authority")
    await mirror.serve(authority)
    client.shows(authority, "first")
    client.open()
    assert await client.name() == "first"

    client.shows(authority, "second")

    assert await client.name() == "second"
    assert await client.name() == "second"


async def test_a_stream_under_way_ends_where_it_began(mirror, client, tmp_path, look_always):
    authority = Authority.at(tmp_path / "authority")
    await mirror.serve(authority)
    client.shows(authority, "first")
    client.open()
    stream = aiter(client.twice(StringValue()))
    said = [(await anext(stream)).value]

    client.shows(authority, "second")
    said.append(await client.name())
    mirror.go_on.set()
    said += [each.value async for each in stream]

    assert said == ["first", "second", "first"]


async def test_another_authority_is_trusted_once_its_certificate_is_there(mirror, client, tmp_path, look_always):
    old, new = Authority.at(tmp_path / "old"), Authority.at(tmp_path / "new")
    server = await mirror.serve(old)
    client.shows(old, "client")
    client.open()
    assert await client.name() == "client"

    await server.stop(None)
    await mirror.serve(new, mirror.port)
    client.shows(new, "client-again")

    assert await client.name() == "client-again"


async def test_files_that_are_away_for_a_moment_stop_no_call(mirror, client, tmp_path, look_always):
    authority = Authority.at(tmp_path / "authority")
    await mirror.serve(authority)
    client.shows(authority, "first")
    client.open()
    assert await client.name() == "first"

    for file in client.files:
        file.unlink()
    assert await client.name() == "first"
    client.shows(authority, "second")

    assert await client.name() == "second"
