"""A deferrable wait, as Airflow's triggers are: many operations wait in one event loop, and none holds a worker.

In Airflow, derive ``OperationTrigger`` from ``airflow.triggers.base.BaseTrigger``, and yield ``TriggerEvent(event)``.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, AsyncIterator, Dict, Tuple

from google_operations_get import Outputs, PermanentFailure, TransientFailure, get_async

FIRST_WAIT, GROWTH, LONGEST_WAIT = 1.0, 1.25, 60.0


class OperationTrigger:
    """Fires once: when the operation is over, or cannot be had. What it keeps holds no credential."""

    def __init__(self, name: str, service: str, endpoint: str = "", token_variable: str = "") -> None:
        self.name = name
        self.service = service
        self.endpoint = endpoint
        self.token_variable = token_variable

    def serialize(self) -> Tuple[str, Dict[str, Any]]:
        """What another process goes on with: the call has no state to lose."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(vars(self))

    async def run(self) -> AsyncIterator[Dict[str, Any]]:
        wait = FIRST_WAIT
        while True:
            asked = 0.0
            try:
                # The input, not the output `name`, which carries no service.
                outputs = await self._get()
                if outputs.done:
                    yield event(outputs)
                    return
            except PermanentFailure as failure:
                yield {"state": "unavailable", "reason": failure.reason, "message": failure.message}
                return
            except TransientFailure as failure:
                asked = (failure.retry_after_ms or 0) / 1000
            await asyncio.sleep(max(wait, asked))
            wait = min(wait * GROWTH, LONGEST_WAIT)

    async def _get(self) -> Outputs:
        return await get_async(
            self.name,
            OPERATIONS_SERVICE=self.service,
            OPERATIONS_ENDPOINT=self.endpoint,
            GOOGLE_OAUTH_ACCESS_TOKEN=os.environ.get(self.token_variable),
            # The loop asks again by itself.
            OPERATIONS_MAX_ATTEMPTS=1,
        )


def event(outputs: Outputs) -> Dict[str, Any]:
    if outputs.error is not None:
        return {"state": "failed", "code": outputs.error_code, "message": outputs.error_message}
    # Zero-touch operations (androiddeviceprovisioning) never set error: their failures sit inside the response.
    return {"state": "succeeded", "response": outputs.response}
