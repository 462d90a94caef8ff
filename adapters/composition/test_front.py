"""The composed component in `wasmtime serve`, against the operations of `lro emulate`, which test.sh starts."""

import json
import os
import socket
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from samples import SAMPLES, name_of, shown  # noqa: E402

EMULATOR = {"OPERATIONS_ENDPOINT": os.environ["ENDPOINT"], "OPERATIONS_MAX_ATTEMPTS": "1"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def serving(**settings: str):
    """`wasmtime serve` with these settings; gives its base URL."""
    address = f"127.0.0.1:{free_port()}"
    given = [option for variable in settings for option in ("--env", variable)]
    command = [os.environ["WASMTIME"], "serve", "-S", "cli", "--addr", address, *given, os.environ["SERVED"]]
    server = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        assert "Serving HTTP" in line, line + server.stderr.read()
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


def get(base: str, name: str):
    return ask(f"{base}/get?name={quote(name, safe='')}")


def ask(url: str, method: str = "GET"):
    try:
        answer = urlopen(Request(url, method=method), timeout=60)
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, json.load(answer)


class Front(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.front = serving(**EMULATOR)
        cls.base = cls.front.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.front.__exit__(None, None, None)

    def outputs(self, name: str):
        status, headers, outputs = get(self.base, name)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"), outputs)
        return {field.replace("_", "-"): value for field, value in outputs.items()}

    def test_the_eleven_outputs(self):
        # An operation of the emulator runs for 3 s from its first request.
        self.assertEqual(shown(self.outputs(name_of("running"))), SAMPLES["running"]["outputs"])
        for label in ("succeeded", "failed", "zero-touch batch with failed devices"):
            with self.subTest(label):
                last = {"done": False}
                while not last["done"]:
                    last = self.outputs(name_of(label))
                self.assertEqual(shown(last), SAMPLES[label]["outputs"])

    def test_a_permanent_failure(self):
        status, headers, failure = get(self.base, "operations/error-403")
        self.assertEqual((status, headers["Retry-After"]), (422, None))
        self.assertEqual((failure["case"], failure["reason"]), ("permanent", "permission-denied"))
        self.assertEqual((failure["http_status"], failure["service_error"]["status"]), (403, "PERMISSION_DENIED"))
        self.assertIn("was answered with 403", failure["message"])

    def test_a_transient_failure(self):
        status, headers, failure = get(self.base, "operations/error-503")
        self.assertEqual((status, headers["Retry-After"]), (503, "1"))
        self.assertEqual((failure["case"], failure["reason"]), ("transient", "unavailable"))
        self.assertEqual(failure["retry_after_ms"], 1000)

    def test_a_host_that_the_settings_do_not_grant_is_denied(self):
        for name in ("//example.com/operations/o", "//apigateway.googleapis.com/operations/o"):
            status, _, failure = get(self.base, name)
            self.assertEqual((status, failure["case"], failure["http_status"]), (422, "permanent", None), failure)

    def test_the_deadline(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
            with serving(OPERATIONS_ENDPOINT=endpoint, OPERATIONS_TIMEOUT_MS="1500") as base:
                start = time.monotonic()
                with ThreadPoolExecutor(8) as threads:
                    answers = list(threads.map(lambda _: get(base, "operations/o"), range(8)))
                elapsed = time.monotonic() - start
        for status, _, failure in answers:
            self.assertEqual((status, failure["case"], failure["reason"]), (503, "transient", "timeout"))
        # Requests do not wait for each other.
        self.assertGreaterEqual(elapsed, 1.5)
        self.assertLess(elapsed, 8 * 1.5)

    def test_anything_else_is_not_found(self):
        for url, method in ((f"{self.base}/", "GET"), (f"{self.base}/get", "GET"), (f"{self.base}/get?name=x", "POST")):
            status, _, answer = ask(url, method)
            self.assertEqual((status, answer), (404, {"usage": "GET /get?name=NAME"}))


if __name__ == "__main__":
    unittest.main()
