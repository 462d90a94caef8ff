"""What a call does with its settings, with a server that misbehaves, and beside other calls."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from samples import MANIFEST
from server import Loopback, RawServer, Server, free_port

from google_operations_get import Failure, PermanentFailure, Settings, TransientFailure, get, get_async

RUNNING = '{"name":"operations/o"}'


def test_the_settings_are_those_of_the_manifest() -> None:
    assert list(Settings.__annotations__) == [setting["variable"] for setting in MANIFEST["settings"]]


def test_one_get_with_the_credential_in_one_header_and_in_no_message() -> None:
    with Server(lambda _: (401, '{"error":{"code":401,"message":"no"}}')) as server:
        with pytest.raises(PermanentFailure) as caught:
            get("operations/o", **server.settings(GOOGLE_OAUTH_ACCESS_TOKEN="ya29.secret"))
    assert caught.value.reason == "unauthenticated"
    assert "ya29" not in repr(caught.value) + str(caught.value)
    [request] = server.requests
    assert request.path == "/v1/operations/o?$.xgafv=2&prettyPrint=false"
    held = [(name.lower(), value) for name, value in request.headers.items() if "ya29" in value]
    assert held == [("authorization", "Bearer ya29.secret")]
    # wasmtime 48.0.0 sent none, and services refuse that.
    assert request.headers["Host"] == server.authority


def test_a_host_that_the_settings_do_not_grant_is_denied() -> None:
    with Server(lambda _: (200, RUNNING)) as server:
        elsewhere: Dict[str, Dict[str, Any]] = {
            "//example.com/operations/o": {},
            "//apigateway.googleapis.com/operations/o": {"OPERATIONS_SERVICE": "workspaceevents.googleapis.com"},
            "//workspaceevents.googleapis.com/operations/o": server.settings(),
        }
        for name, settings in elsewhere.items():
            with pytest.raises(PermanentFailure) as caught:
                get(name, **settings)
            assert caught.value.http_status is None, name
    assert server.requests == []


def test_a_redirect_is_not_followed() -> None:
    with Server(lambda _: (302, "")) as server:
        with pytest.raises(PermanentFailure, match="^redirected: "):
            get("operations/o", **server.settings())
    assert len(server.requests) == 1


def test_the_environment_of_the_process_does_not_reach_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIONS_TIMEOUT_MS", "never")
    with Server(lambda _: (200, RUNNING)) as server:
        assert get("operations/o", **server.settings()).done is False


def test_an_empty_setting_is_unset() -> None:
    with Server(lambda _: (200, RUNNING)) as server:
        empty = server.settings(OPERATIONS_TIMEOUT_MS="", GOOGLE_API_KEY=None, OPERATIONS_SERVICE="")
        assert get("operations/o", **empty).name == "operations/o"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"OPERATIONS_SERVICES": "x"}, TypeError, "the block has no setting OPERATIONS_SERVICES"),
        ({"GOOGLE_API_KEY": b"AIza"}, TypeError, "the setting GOOGLE_API_KEY is a str or an int, not bytes"),
        ({"GOOGLE_API_KEY": "AIza\0"}, ValueError, "the setting GOOGLE_API_KEY holds a NUL character"),
    ],
)
def test_an_invalid_setting_is_refused_and_its_value_not_shown(settings: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        get("operations/o", **settings)
    assert message in str(caught.value)
    assert "AIza" not in str(caught.value)


def test_a_name_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="the name of an operation is a str, not NoneType"):
        get(None)  # type: ignore[arg-type]


def test_calls_at_the_same_time_keep_their_settings_apart_and_do_not_wait_for_each_other() -> None:
    tokens = [f"token-{i}" for i in range(50)]
    # No request is answered before all have come.
    all_there = threading.Barrier(len(tokens))

    def answer(request: Any) -> Any:
        all_there.wait(timeout=60)
        return 200, json.dumps({"name": "operations/o", "metadata": {"token": request.headers["Authorization"]}})

    async def all_of_them() -> Any:
        settings = (server.settings(GOOGLE_OAUTH_ACCESS_TOKEN=token) for token in tokens)
        return await asyncio.gather(*(get_async("operations/o", **each) for each in settings))

    with Server(answer) as server:
        seen = asyncio.run(all_of_them())
    assert [json.loads(outputs.metadata)["token"] for outputs in seen] == [f"Bearer {token}" for token in tokens]


def test_a_cancelled_task_ends_while_its_call_still_waits_for_the_service() -> None:
    async def cancelled() -> bool:
        call = asyncio.create_task(get_async("operations/o", **server.settings()))
        await asyncio.get_running_loop().run_in_executor(None, server.asked.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return server.is_open()

    with RawServer(b"") as server:
        assert asyncio.run(cancelled())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_call_in_a_fork_of_a_process_that_has_called_fails_and_does_not_hang() -> None:
    with Server(lambda _: (200, RUNNING)) as server:
        get("operations/o", **server.settings())
        calls: List[Callable[[], object]] = [
            lambda: get("operations/o", **server.settings()),
            lambda: asyncio.run(get_async("operations/o", **server.settings())),
        ]
        for call in calls:
            child = os.fork()
            if child == 0:
                try:
                    call()
                except RuntimeError as error:
                    os._exit(7 if "forked" in str(error) else 1)
                finally:
                    os._exit(1)
            assert ended_with(child) == 7


def ended_with(child: int) -> Optional[int]:
    for _ in range(600):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WEXITSTATUS(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def test_an_answer_of_many_mib_arrives_complete() -> None:
    text = "x" * (12 * 2**20)
    with Server(lambda _: (200, json.dumps({"name": "operations/o", "metadata": {"text": text}}))) as server:
        metadata = get("operations/o", **server.settings()).metadata
    assert metadata is not None and json.loads(metadata)["text"] == text


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_call_to_a_server_that_falls_silent_ends_at_the_deadline(sent: bytes) -> None:
    with RawServer(sent) as server:
        start = time.monotonic()
        with pytest.raises(TransientFailure, match="^timeout: .* within 700 ms"):
            get("operations/o", **server.settings(OPERATIONS_TIMEOUT_MS=700))
        assert time.monotonic() - start >= 0.7


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"])
def test_a_connection_that_closes_early_is_lost(sent: bytes) -> None:
    with RawServer(sent, close=True) as server:
        with pytest.raises(TransientFailure, match="^connection-lost: "):
            get("operations/o", **server.settings())


def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *more], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(lambda _: (200, RUNNING), context) as server:
        with pytest.raises(PermanentFailure, match="^certificate: "):
            get("operations/o", **server.settings())
    assert server.requests == []


def test_a_port_that_nothing_listens_on_is_unreachable() -> None:
    with pytest.raises(TransientFailure, match="^unreachable: "):
        get("operations/o", **Loopback(free_port()).settings())


def test_a_failure_is_permanent_or_transient() -> None:
    assert {PermanentFailure, TransientFailure} == set(Failure.__subclasses__())
