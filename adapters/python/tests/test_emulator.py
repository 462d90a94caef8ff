"""The operations of `lro emulate`, which the manifest shows as its samples."""

from __future__ import annotations

import json
import pickle
import re
import time
from dataclasses import FrozenInstanceError, asdict
from typing import Dict

import pytest
from samples import FIELDS, SAMPLES, name_of, shown

from google_operations_get import Member, Outputs, PermanentFailure, Settings, TransientFailure, get


@pytest.fixture(scope="module", autouse=True)
def running(emulator: Settings) -> Dict[str, Outputs]:
    # An operation of the emulator runs for 3 s from its first request: so they run at the same time.
    return {label: get(name_of(label), **emulator) for label in SAMPLES}


def assert_sample(outputs: Outputs, label: str) -> None:
    by_field = asdict(outputs)
    assert list(by_field) == [field.replace("-", "_") for field in FIELDS]
    assert shown(by_field) == SAMPLES[label]["outputs"]


def ended(name: str, settings: Settings) -> Outputs:
    while True:
        outputs = get(name, **settings)
        if outputs.done:
            return outputs
        time.sleep(0.2)


def test_a_running_operation(running: Dict[str, Outputs]) -> None:
    assert_sample(running["running"], "running")


@pytest.mark.parametrize("label", ["succeeded", "failed", "zero-touch batch with failed devices"])
def test_the_eleven_outputs(label: str, emulator: Settings) -> None:
    outputs = ended(name_of(label), emulator)
    assert_sample(outputs, label)
    with pytest.raises(FrozenInstanceError):
        outputs.done = False  # type: ignore[misc]


def test_json_text_is_exact(emulator: Settings) -> None:
    outputs = ended(name_of("zero-touch batch with failed devices"), emulator)
    assert Member("batchNumber", "9007199254740993") in outputs.metadata_custom_key_value
    assert outputs.metadata is not None and '"batchNumber": 9007199254740993\n' in outputs.metadata


def test_a_permanent_failure(emulator: Settings) -> None:
    with pytest.raises(PermanentFailure) as caught:
        get("operations/error-403", **emulator)
    failure = caught.value
    assert (failure.reason, failure.http_status, failure.retry_after_ms) == ("permission-denied", 403, None)
    assert re.match(r"GET http://127\.0\.0\.1:\d+/v1/operations/error-403 was answered with 403", failure.message)
    said = failure.service_error
    assert said is not None
    assert (said.code, said.status) == (7, "PERMISSION_DENIED")
    assert json.loads(said.details[0])["reason"] == "SERVICE_DISABLED"
    assert json.loads(said.error)["message"] == said.message


def test_a_transient_failure(emulator: Settings) -> None:
    with pytest.raises(TransientFailure) as caught:
        get("operations/error-503", **emulator)
    failure = caught.value
    assert (failure.reason, failure.http_status, failure.retry_after_ms) == ("unavailable", 503, 1000)
    assert vars(pickle.loads(pickle.dumps(failure))) == vars(failure)


def test_an_invalid_name(emulator: Settings) -> None:
    with pytest.raises(PermanentFailure) as caught:
        get("projects/p", **emulator)
    failure = caught.value
    assert (failure.reason, failure.http_status, failure.service_error) == ("invalid-name", None, None)
