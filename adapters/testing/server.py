"""The server of the tests in Python: on loopback, on a port that the system picks, for as long as it is entered."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, Callable, Dict, List, Optional, Tuple

#: The status and the body that answer a request, which has a ``path`` and ``headers``.
Answer = Callable[[BaseHTTPRequestHandler], Tuple[int, str]]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Loopback:
    """What listens on a port of loopback."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.authority = f"127.0.0.1:{port}"
        #: The base URL of an API there, version included.
        self.endpoint = f"{scheme}://{self.authority}/v1"

    def settings(self, **more: Any) -> Dict[str, Any]:
        """The settings of the block with which a call makes one attempt there, and more."""
        return {"OPERATIONS_ENDPOINT": self.endpoint, "OPERATIONS_MAX_ATTEMPTS": "1", **more}


class Server(Loopback):
    """Answers HTTP requests, each in a thread of its own, as a test says."""

    def __init__(self, answer: Answer, tls: Optional[SSLContext] = None) -> None:
        self.requests: List[BaseHTTPRequestHandler] = []
        self._http = _http_server(answer, self.requests)
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever)
        super().__init__(self._http.server_address[1], "https" if tls else "http")

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _http_server(answer: Answer, requests: List[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append(self)
            status, text = answer(self)
            body = text.encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/v1/operations/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                # The client gave up, as it should.
                pass

        def log_message(self, format: str, *args: object) -> None:
            pass

    class HttpServer(ThreadingHTTPServer):
        request_queue_size = 1024

    return HttpServer(("127.0.0.1", 0), Handler)


class RawServer(Loopback):
    """Sends the same bytes to each connection, once that has sent something. Then it closes it, or stays silent."""

    def __init__(self, sent: bytes, close: bool = False) -> None:
        self._sent = sent
        self._close = close
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread = threading.Thread(target=self._serve)
        self._connections: List[socket.socket] = []
        #: Set once a connection has sent something.
        self.asked = threading.Event()
        super().__init__(self._listener.getsockname()[1])

    def is_open(self) -> bool:
        """Whether the client still has the first connection open."""
        first = self._connections[0]
        first.setblocking(False)
        try:
            return first.recv(1) != b""
        except BlockingIOError:
            return True

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            connection.recv(65536)
            connection.sendall(self._sent)
            if self._close:
                connection.close()
            self.asked.set()
