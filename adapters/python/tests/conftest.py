from __future__ import annotations

import os

import pytest

from google_operations_get import Settings


@pytest.fixture(scope="session")
def emulator() -> Settings:
    """The settings that reach the emulator, which test.sh starts."""
    return {"OPERATIONS_ENDPOINT": os.environ["ENDPOINT"], "OPERATIONS_MAX_ATTEMPTS": 1}
