"""Servers on loopback, each for one test."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, Callable, Iterator, List, Optional, Tuple

from google_operations_get import Settings

Answer = Callable[[BaseHTTPRequestHandler], Tuple[int, str]]


class Server:
    def __init__(self, port: int, scheme: str = "http") -> None:
        self.endpoint = f"{scheme}://127.0.0.1:{port}/v1"
        self.requests: List[BaseHTTPRequestHandler] = []

    def settings(self, **more: Any) -> Settings:
        """Those that reach it, and more."""
        return {"OPERATIONS_ENDPOINT": self.endpoint, "OPERATIONS_MAX_ATTEMPTS": 1, **more}  # type: ignore[typeddict-item]


@contextmanager
def answering(answer: Answer, tls: Optional[SSLContext] = None) -> Iterator[Server]:
    """An HTTP server that answers with a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append(self)
            status, body = answer(self)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/v1/operations/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                # The client gave up, as it should.
                pass

        def log_message(self, format: str, *args: object) -> None:
            pass

    class HttpServer(ThreadingHTTPServer):
        request_queue_size = 128

    http = HttpServer(("127.0.0.1", 0), Handler)
    server = Server(http.server_address[1], "https" if tls else "http")
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@contextmanager
def saying(what: bytes, end: bool = False) -> Iterator[Server]:
    """A TCP server that says something to each connection, and then ends it or says nothing more."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            connection.recv(65536)
            connection.sendall(what)
            if end:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Server(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()
