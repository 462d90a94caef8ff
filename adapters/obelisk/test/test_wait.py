"""The block as an activity, and the workflow that waits: against the emulator, and through a restart."""

import os
import tempfile
import time
import unittest
from pathlib import Path

from engine import GET, WAIT, Engine
from samples import SAMPLES, name_of, shown
from service import Service

SQLITE = "server.sqlite.toml"


def setUpModule():
    global home
    home = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(home.cleanup)


def engine(test, name, endpoint, **environment):
    started = Engine(Path(home.name) / name, SQLITE, endpoint, **environment).start()
    (test.addClassCleanup if isinstance(test, type) else test.addCleanup)(started.stop)
    return started


class Emulated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.endpoint = os.environ["ENDPOINT"]
        cls.engine = engine(cls, "emulated", cls.endpoint)

    def test_the_eleven_outputs_of_one_question_and_of_a_wait(self):
        self.assertEqual(shown(self.engine.call(GET, name_of("running"))["ok"]), SAMPLES["running"]["outputs"])
        for label, sample in SAMPLES.items():
            if sample["outputs"]["done"]:
                with self.subTest(label):
                    self.assertEqual(shown(self.engine.call(WAIT, name_of(label), 60_000)["ok"]), sample["outputs"])

    def test_a_permanent_failure_ends_a_wait_at_once(self):
        id = self.engine.submit(WAIT, "operations/error-404", 60_000)
        failure = self.engine.result(id)["err"]["permanent"]
        self.assertEqual((failure["reason"], failure["http_status"]), ("not_found", 404))
        self.assertEqual(failure["service_error"]["status"], "NOT_FOUND")
        self.assertEqual(len(self.engine.polls(id)), 1)

    def test_a_transient_failure_is_waited_out_until_the_deadline(self):
        begun = time.monotonic()
        id = self.engine.submit(WAIT, "operations/error-503", 4000)
        failure = self.engine.result(id)["err"]["deadline"]
        self.assertGreaterEqual(time.monotonic() - begun, 4)
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual((failure["reason"], failure["retry_after_ms"]), ("unavailable", 1000))
        self.assertIn(len(self.engine.polls(id)), (3, 4))  # after 0, 1, 2.25 and 3.8 s

    def test_an_input_that_is_no_name(self):
        failure = self.engine.call(WAIT, "projects/p/secrets/s", 60_000)["err"]["permanent"]
        self.assertEqual(failure["reason"], "invalid_name")

    def test_a_host_that_is_not_allowed(self):
        other = engine(self, "denied", self.endpoint, OPERATIONS_HOST="https://other.invalid")
        id = other.submit(WAIT, "operations/space-subscription", 60_000)
        self.assertEqual(other.result(id)["err"]["permanent"]["reason"], "request_denied")
        self.assertEqual(len(other.polls(id)), 1)


class Played(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())

    def test_a_deadline_ends_a_wait_for_what_still_runs(self):
        played = engine(self, "deadline", self.service.endpoint)
        self.assertEqual(played.call(WAIT, "operations/1-600", 3000), {"err": {"deadline": None}})

    def test_a_deadline_ends_a_wait_for_an_answer(self):
        self.service.delay = 10
        played = engine(self, "silent", self.service.endpoint)
        begun = time.monotonic()
        self.assertEqual(played.call(WAIT, "operations/1-0", 2000), {"err": {"deadline": None}})
        self.assertLess(time.monotonic() - begun, 8)

    def test_a_failure_that_passes(self):
        self.service.status = 503
        played = engine(self, "passes", self.service.endpoint)
        id = played.submit(WAIT, "operations/1-0", 60_000)
        while self.service.polls["operations/1-0"] < 2:
            time.sleep(0.05)
        self.service.status = None
        self.assertTrue(played.result(id)["ok"]["done"])

    def test_the_token_is_put_in_on_the_way_out_and_is_in_no_record(self):
        played = engine(self, "token", self.service.endpoint)
        self.assertTrue(played.call(WAIT, "operations/1-0", 60_000)["ok"]["done"])
        self.assertEqual(dict(self.service.tokens), {"Bearer ya29.secret": 1})
        played.stop()
        files = [file for file in played.home.rglob("*") if file.is_file()]
        self.assertTrue([file for file in files if file.name == "obelisk.sqlite"])
        for file in files:
            self.assertNotIn(b"ya29.secret", file.read_bytes(), file)

    def test_a_wait_goes_on_after_its_server_was_killed(self):
        played = engine(self, "killed", self.service.endpoint)
        id = played.submit(WAIT, "operations/1-8", 120_000)
        while self.service.polls["operations/1-8"] < 3:
            time.sleep(0.05)
        played.kill()
        asked = self.service.polls["operations/1-8"]
        time.sleep(2)
        self.assertEqual(self.service.polls["operations/1-8"], asked)
        played.start()
        # Who asked before may ask again: the same id is the same wait.
        self.assertEqual(played.submit(WAIT, "operations/1-8", 120_000, id=id), id)
        outputs = played.result(id)["ok"]
        self.assertEqual((outputs["name"], outputs["done"]), ("operations/1-8", True))
        # No question that was answered is asked again: one for each execution of the block.
        self.assertEqual(len(played.polls(id)), self.service.polls["operations/1-8"])

    def test_a_question_that_was_lost_is_asked_again(self):
        self.service.delay = 5
        played = engine(self, "lost", self.service.endpoint)
        id = played.submit(WAIT, "operations/1-0", 120_000)
        while not self.service.polls["operations/1-0"]:
            time.sleep(0.05)
        played.kill()
        self.service.delay = 0
        played.start()
        self.assertTrue(played.result(id)["ok"]["done"])
        self.assertEqual(self.service.polls["operations/1-0"], 2)


if __name__ == "__main__":
    unittest.main()
