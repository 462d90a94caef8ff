"""The script `get` against the operations of `lro emulate`, which test.sh starts."""

import json
import os
import re
import subprocess
import time
import unittest
from pathlib import Path

from samples import FIELDS, MANIFEST, SAMPLES, name_of, shown
from server import RawServer

HERE = Path(__file__).resolve().parent
ENDPOINT = os.environ["ENDPOINT"]
COMPONENT = os.environ["OPERATIONS_GET_COMPONENT"]
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|-?\w[\w-]*\(?|.', re.DOTALL)
ESCAPE = re.compile(r"\\(u\{\w+\}|.)")


def parsed(wave: str):
    """WAVE as the CLI prints it, by way of JSON: `some(…)` is its value, a record leaves out what is none."""

    def escaped(escape: re.Match):
        if escape[1].startswith("u"):
            return json.dumps(chr(int(escape[1][2:-1], 16)))[1:-1]
        return "'" if escape[1] == "'" else escape[0]

    words = []
    for token in TOKEN.findall(wave.strip()):
        if token.startswith('"'):
            words.append(ESCAPE.sub(escaped, token))
        elif token.endswith(("(", ")")):
            continue
        elif re.fullmatch(r"true|false|-?\d+|\W", token):
            words.append(token)
        else:
            words.append(f'"{token}"')
    return json.loads("".join(words))


def get(name: str, **settings: str) -> subprocess.CompletedProcess:
    variables = {"OPERATIONS_ENDPOINT": ENDPOINT, "OPERATIONS_MAX_ATTEMPTS": "1", **settings}
    environment = {**os.environ, **variables}
    return subprocess.run([HERE / "get", name], env=environment, capture_output=True, text=True, timeout=60)


def outputs(name: str):
    called = get(name)
    assert called.returncode == 0 and called.stdout.startswith("ok({"), called
    record = parsed(called.stdout)
    assert set(record) <= set(FIELDS), record
    return {field: record.get(field) for field in FIELDS}


class Get(unittest.TestCase):
    def failure(self, status: int, case: str, name: str, **settings: str):
        called = get(name, **settings)
        self.assertEqual(called.returncode, status, called)
        self.assertTrue(called.stdout.startswith(f"err({case}({{"), called.stdout)
        return parsed(called.stdout)

    def test_the_eleven_outputs(self):
        # An operation of the emulator runs for 3 s from its first request.
        self.assertEqual(shown(outputs(name_of("running"))), SAMPLES["running"]["outputs"])
        for label in ("succeeded", "failed", "zero-touch batch with failed devices"):
            with self.subTest(label):
                last = {"done": False}
                while not last["done"]:
                    last = outputs(name_of(label))
                self.assertEqual(shown(last), SAMPLES[label]["outputs"])

    def test_a_permanent_failure(self):
        failure = self.failure(1, "permanent", "operations/error-403")
        self.assertEqual((failure["reason"], failure["http-status"]), ("permission-denied", 403))
        self.assertEqual(failure["service-error"]["status"], "PERMISSION_DENIED")
        self.assertEqual(self.failure(1, "permanent", "operations/html-404")["reason"], "wrong-address")

    def test_a_transient_failure(self):
        failure = self.failure(75, "transient", "operations/error-503")
        self.assertEqual((failure["reason"], failure["retry-after-ms"]), ("unavailable", 1000))

    def test_a_name_is_data(self):
        for name in ('operations/o")', "operations/o\\", '") get("operations/o'):
            called = get(name)
            self.assertTrue(called.stdout.startswith("err(permanent("), called)

    def test_a_host_that_the_settings_do_not_grant_is_denied(self):
        failure = self.failure(1, "permanent", "//apigateway.googleapis.com/operations/o")
        self.assertNotIn("http-status", failure)
        failure = self.failure(1, "permanent", "//example.com/operations/o", OPERATIONS_ENDPOINT="")
        self.assertEqual(failure["reason"], "unknown-service")

    def test_without_http_the_component_does_not_start(self):
        command = [os.environ["WASMTIME"], "run", "--invoke", 'get("operations/o")', COMPONENT]
        called = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((called.returncode, called.stdout), (1, ""))
        self.assertIn("wasi:http", called.stderr)

    def test_the_deadline(self):
        with RawServer(b"") as silent:
            start = time.monotonic()
            failure = self.failure(75, "transient", "operations/o", **silent.settings(OPERATIONS_TIMEOUT_MS="700"))
            self.assertGreaterEqual(time.monotonic() - start, 0.7)
        self.assertEqual(failure["reason"], "timeout")
        self.assertIn("within 700 ms", failure["message"])

    def test_the_script_hands_over_every_setting(self):
        script = (HERE / "get").read_text()
        for setting in MANIFEST["settings"]:
            self.assertRegex(script, rf"\b{setting['variable']}\b")
        failure = self.failure(1, "permanent", "operations/o", OPERATIONS_TIMEOUT_MS="never")
        self.assertEqual(failure["reason"], "invalid-setting")


if __name__ == "__main__":
    unittest.main()
