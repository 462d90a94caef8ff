"""The composed component in `wasmtime serve`, against the operations of `lro emulate`, which test.sh starts."""

import json
import os
import re
import subprocess
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from samples import FIELDS, SAMPLES, name_of, shown
from server import RawServer, Server

EMULATOR = {"OPERATIONS_ENDPOINT": os.environ["ENDPOINT"], "OPERATIONS_MAX_ATTEMPTS": "1"}


@contextmanager
def serving(**settings: str):
    """`wasmtime serve` with these settings; gives its base URL."""
    variables = [option for variable in settings for option in ("--env", variable)]
    command = [os.environ["WASMTIME"], "serve", "-S", "cli", "--addr", "127.0.0.1:0", *variables, os.environ["SERVED"]]
    served = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    try:
        line = served.stderr.readline()
        base = re.search(r"Serving HTTP on (http://127\.0\.0\.1:\d+)", line)
        assert base, line + served.stderr.read()
        yield base[1]
    finally:
        served.terminate()
        served.wait()
        served.stderr.close()


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
        self.assertEqual(list(outputs), [field.replace("-", "_") for field in FIELDS])
        return outputs

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
        with RawServer(b"") as silent, serving(**silent.settings(OPERATIONS_TIMEOUT_MS="700")) as base:
            start = time.monotonic()
            status, _, failure = get(base, "operations/o")
            self.assertGreaterEqual(time.monotonic() - start, 0.7)
        self.assertEqual((status, failure["case"], failure["reason"]), (503, "transient", "timeout"))

    def test_requests_do_not_wait_for_each_other(self):
        # None is answered before all have come.
        all_there = threading.Barrier(8)

        def answer(_):
            all_there.wait(timeout=60)
            return 200, '{"name":"operations/o"}'

        with Server(answer) as server, serving(**server.settings()) as base, ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: get(base, "operations/o"), range(8)))
        self.assertEqual([status for status, _, _ in answers], [200] * 8)

    def test_anything_else_is_not_found(self):
        for url, method in ((f"{self.base}/", "GET"), (f"{self.base}/get", "GET"), (f"{self.base}/get?name=x", "POST")):
            status, _, answer = ask(url, method)
            self.assertEqual((status, answer), (404, {"usage": "GET /get?name=NAME"}))


if __name__ == "__main__":
    unittest.main()
