"""The example, against servers that answer as operations do."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Dict, List, Tuple

import pytest
import wait_for_operation
from server import Server
from wait_for_operation import OperationTrigger

SERVICE = "apigateway.googleapis.com"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_for_operation, "FIRST_WAIT", 0.01)


def events(answers: List[Tuple[int, Dict[str, Any]]], **more: str) -> Tuple[List[Dict[str, Any]], List[Any]]:
    """What a trigger fires, resumed from what it is serialised to, and the requests that it made."""

    async def fired(trigger: OperationTrigger) -> List[Dict[str, Any]]:
        return [event async for event in trigger.run()]

    left = iter([(status, json.dumps(body)) for status, body in answers])
    with Server(lambda _: next(left)) as server:
        path, kept = OperationTrigger("operations/o", SERVICE, server.endpoint, **more).serialize()
        assert path == "wait_for_operation.OperationTrigger"
        return asyncio.run(fired(OperationTrigger(**json.loads(json.dumps(kept))))), server.requests


def test_it_waits_until_the_operation_is_done() -> None:
    seen, requests = events([
        (200, {"name": "operations/o"}),
        (503, {"error": {"code": 503, "message": "later"}}),
        (200, {"name": "operations/o", "done": True, "response": {"n": 9007199254740993}}),
    ])
    [event] = seen
    assert event["state"] == "succeeded"
    assert json.loads(event["response"]) == {"n": 9007199254740993}
    assert len(requests) == 3


def test_an_operation_that_failed_is_not_a_call_that_failed() -> None:
    error = {"code": 7, "message": "no access"}
    seen, _ = events([(200, {"name": "operations/o", "done": True, "error": error})])
    assert seen == [{"state": "failed", "code": 7, "message": "no access"}]
    seen, requests = events([(404, {"error": {"code": 404, "message": "gone"}})])
    assert [(event["state"], event["reason"]) for event in seen] == [("unavailable", "not-found")]
    assert len(requests) == 1


def test_the_credential_comes_from_the_process_and_is_kept_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_THIS_MACHINE", "ya29.secret")
    done = {"name": "operations/o", "done": True}
    _, [request] = events([(200, done)], token_variable="TOKEN_OF_THIS_MACHINE")
    assert request.headers["Authorization"] == "Bearer ya29.secret"
    trigger = OperationTrigger("operations/o", SERVICE, token_variable="TOKEN_OF_THIS_MACHINE")
    assert "ya29" not in repr(trigger.serialize())
