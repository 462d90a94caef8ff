"""A service that plays operations, and counts how often each is asked for. An operation that was never heard of
starts with its first question, and ends after as many seconds as its name says: `operations/NUMBER-SECONDS`."""

import json
import threading
import time
from collections import Counter

from server import Server


class Service(Server):
    def __init__(self):
        super().__init__(self.play)
        self.polls = Counter()
        self.tokens = Counter()
        self.begun = {}
        self.delay = 0  # of every answer, in seconds
        self.status = None  # of every answer, where it is no operation
        self._lock = threading.Lock()

    def play(self, request):
        name = request.path.removeprefix("/v1/").partition("?")[0]
        status, body = self.answer(name, request.headers["Authorization"])
        time.sleep(self.delay)
        return status, json.dumps(body)

    def answer(self, name, token):
        now = time.time()
        with self._lock:
            self.polls[name] += 1
            if token:
                self.tokens[token] += 1
            begun = self.begun.setdefault(name, now)
        if self.status:
            return self.status, {"error": {"code": self.status, "status": "UNAVAILABLE"}}
        operation = {"name": name}
        if now - begun >= float(name.rpartition("-")[2]):
            operation |= {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Struct", "is": name}}
        return 200, operation
