from __future__ import annotations

from typing import List, Mapping, Optional, Tuple, TypedDict, Union


class Settings(TypedDict, total=False):
    """The settings of a call, by the environment variables of the manifest. An empty one is unset."""

    #: The service that the operations are of, optionally with its version. Set, it pins the service.
    OPERATIONS_SERVICE: Optional[str]
    #: Base URL, version included, to which ``/{name}`` is added.
    OPERATIONS_ENDPOINT: Optional[str]
    #: Bearer token.
    GOOGLE_OAUTH_ACCESS_TOKEN: Optional[str]
    #: Sent as ``x-goog-api-key``; not together with a token.
    GOOGLE_API_KEY: Optional[str]
    #: Sent as ``x-goog-user-project``.
    GOOGLE_CLOUD_QUOTA_PROJECT: Optional[str]
    #: Replaces ``googleapis.com`` in hosts.
    GOOGLE_CLOUD_UNIVERSE_DOMAIN: Optional[str]
    #: Deadline of the whole call in milliseconds, retries included, 1 to 600,000; 60,000 where unset.
    OPERATIONS_TIMEOUT_MS: Union[int, str, None]
    #: Attempts within the deadline, 1 to 10; 5 where unset.
    OPERATIONS_MAX_ATTEMPTS: Union[int, str, None]


def environment(settings: Mapping[str, object]) -> List[Tuple[str, str]]:
    """The settings as environment variables. An error never shows a value: it may be a credential."""
    variables = []
    for variable, value in settings.items():
        if variable not in Settings.__annotations__:
            raise TypeError(f"the block has no setting {variable}: its manifest lists them")
        if value is None or value == "":
            continue
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise TypeError(f"the setting {variable} is a str or an int, not {type(value).__name__}")
        if "\0" in str(value):
            # It would end the variable there.
            raise ValueError(f"the setting {variable} holds a NUL character")
        variables.append((variable, str(value)))
    return variables
