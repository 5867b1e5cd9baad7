"""A small witness: C2SP tlog-witness over HTTP."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from services.audit.domain.cosignature import Cosigner
from services.audit.domain.witness import REQUEST_BYTES_MAX, SIZE_CONTENT_TYPE, Refused, Status
from tools.witness.state import WitnessState

PATH = "/add-checkpoint"
_TEXT = "text/plain; charset=utf-8"
# A client that sends nothing for this long is let go, in seconds.
IDLE_S_MAX = 10


def make_server(
    address: tuple[str, int], state: WitnessState, cosigner: Cosigner, now_s: Callable[[], float]
) -> ThreadingHTTPServer:
    """Return a server on `address` that signs as `cosigner` what `state` may take; `serve_forever` runs it."""

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_S_MAX
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > REQUEST_BYTES_MAX:
                # What follows is not read, so the connection cannot go on.
                self.close_connection = True
                self._answer(Status.MALFORMED, f"a request has a length, of at most {REQUEST_BYTES_MAX} bytes\n")
                return
            body = self.rfile.read(int(length))
            if self.path != PATH:
                self._answer(Status.UNKNOWN, f"there is only {PATH}\n")
                return
            try:
                checkpoint = state.take(body.decode())
            except UnicodeDecodeError:
                self._answer(Status.MALFORMED, "the body is not UTF-8\n")
            except Refused as refused:
                kind = SIZE_CONTENT_TYPE if refused.status is Status.HELD else _TEXT
                self._answer(refused.status, refused.body, kind)
            else:
                self._answer(Status.COSIGNED, cosigner.line(checkpoint.text(), int(now_s())))

        def _answer(self, status: Status, body: str, kind: str = _TEXT) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            # Whoever runs a witness reads its state, not a line per request.
            pass

    return ThreadingHTTPServer(address, Handler)
