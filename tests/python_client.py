#!/usr/bin/env python3
"""Compares what `lro get` prints with what Google's own Python client reads, operation by operation.

Both read the same operations from the emulator, so a difference is a difference between the two clients. A built-in
operation is compared while it runs, as long as it does not change between two readings, and again once it has ended.

    python3 -m venv .venv
    .venv/bin/pip install google-api-python-client
    lro emulate                 # prints the endpoint; leave it running
    .venv/bin/python python_client.py --lro target/release/lro --endpoint http://127.0.0.1:PORT/v1

With `--from DIR`, the operations are the `*.json` files of DIR, which the emulator has to serve too.

A name that the Python client cannot send is skipped with the reason. Each other operation gets one line, with a diff
if it differs, and the last line is `N passed, N failed`. Exits with 0 when all passed, 1 when one failed or nothing
was compared, and 2 when the arguments or the directory cannot be used.
"""

import argparse
import difflib
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

import google.auth.credentials
from googleapiclient import discovery

# Service and version for lro, API and version of the discovery document, and the resources above `operations`.
# The package has no discovery document of workspaceevents v1beta. Its v1 has the same `operations.get`, and the
# emulator takes any version.
APIGATEWAY = ("apigateway.googleapis.com/v1", "apigateway", "v1", ("projects", "locations"))
WORKSPACEEVENTS = ("workspaceevents.googleapis.com/v1beta", "workspaceevents", "v1", ())
ANDROIDDEVICEPROVISIONING = (
    "androiddeviceprovisioning.googleapis.com/v1",
    "androiddeviceprovisioning",
    "v1",
    (),
)

BUILTIN = [
    (APIGATEWAY, "projects/demo/locations/global/operations/operation-create-api"),
    (WORKSPACEEVENTS, "operations/space-subscription"),
    (ANDROIDDEVICEPROVISIONING, "operations/apibatchoperation/claim-devices"),
]

# How long a built-in operation may take to end, one reading by lro may take, and the pause between readings: seconds.
END_TIMEOUT = 60
LRO_TIMEOUT = 60
PAUSE = 0.2


class Failure(Exception):
    """Why an operation failed, to print under its line."""


class Operations:
    """The operations at one endpoint, read with Google's Python client."""

    def __init__(self, root):
        self.root = root
        self.collections = {}

    def get(self, service, name):
        """The operation as the client returns it: a dict."""
        _, api, version, parents = service
        if service not in self.collections:
            collection = discovery.build(
                api,
                version,
                static_discovery=True,
                credentials=google.auth.credentials.AnonymousCredentials(),
                client_options={"api_endpoint": self.root},
            )
            for parent in parents:
                collection = getattr(collection, parent)()
            self.collections[service] = collection.operations()
        try:
            return self.collections[service].get(name=name).execute()
        except Exception as error:  # Whatever goes wrong in the client counts against this operation only.
            raise Failure(f"the Python client: {type(error).__name__}: {error}") from error


def variables(operation):
    """The eleven variables of an operation. Members that are absent or null take their defaults (proto3 JSON)."""
    error = operation.get("error")
    metadata = operation.get("metadata")
    response = operation.get("response")
    details = (error or {}).get("details") or []

    def default(member, value):
        if error is None:
            return None
        return value if error.get(member) is None else error[member]

    def members(message):
        return None if message is None else dict(message)

    return {
        "name": operation.get("name") or "",
        "done": bool(operation.get("done")),
        "error": error,
        "error.code": default("code", 0),
        "error.message": default("message", ""),
        "error.details[]": list(details),
        "error.details[].customKey.value": [members(detail) for detail in details],
        "metadata": metadata,
        "metadata.customKey.value": members(metadata),
        "response": response,
        "response.customKey.value": members(response),
    }


def lro_variables(arguments, service, name):
    """What `lro get` prints for an operation, as a dict."""
    command = [arguments.lro, "get", name, "--service", service[0]]
    command += ["--endpoint", arguments.endpoint, "--output", "json"]
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, timeout=LRO_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"lro did not end in {LRO_TIMEOUT} s") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"lro cannot be run: {error}") from error
    if result.returncode != 0:
        raise Failure(f"lro ended with {result.returncode}: {(result.stderr or result.stdout).strip()}")
    try:
        printed = json.loads(result.stdout)
    except ValueError as error:
        raise Failure(f"lro printed no JSON: {error}\n{result.stdout}") from error
    if not isinstance(printed, dict):
        raise Failure(f"lro printed no JSON object:\n{result.stdout}")
    return printed


def same(one, other):
    """Equality that keeps false, 0 and 0.0 apart, which == does not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def require_same(expected, printed, when):
    """Fails with a diff unless lro printed what the Python client read."""
    if same(expected, printed):
        return

    def lines(value):
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()

    diff = difflib.unified_diff(lines(expected), lines(printed), "the Python client", "lro", lineterm="")
    raise Failure("\n".join([f"differs {when}:", *diff]))


def compare_running(operations, arguments, service, name):
    """Whether a running operation was compared. It is not when it had ended, or moved while lro was reading it."""
    before = operations.get(service, name)
    if before.get("done"):
        return False
    printed = lro_variables(arguments, service, name)
    if not same(before, operations.get(service, name)):
        return False
    require_same(variables(before), printed, "while running")
    return True


def compare_ended(operations, arguments, service, name):
    """Waits until the operation has ended, and compares it."""
    deadline = time.monotonic() + END_TIMEOUT
    while not (operation := operations.get(service, name)).get("done"):
        if time.monotonic() > deadline:
            raise Failure(f"did not end in {END_TIMEOUT} s")
        time.sleep(PAUSE)
    require_same(variables(operation), lro_variables(arguments, service, name), "once ended")


def compare_builtin(operations, arguments):
    """Yields (name, what was compared or the Failure) for the built-in operations."""
    # All are started before the first is waited for, since each runs from its first request.
    outcomes = {}
    for service, name in BUILTIN:
        try:
            outcomes[name] = compare_running(operations, arguments, service, name)
        except Failure as failure:
            outcomes[name] = failure
    for service, name in BUILTIN:
        outcome = outcomes[name]
        if not isinstance(outcome, Failure):
            try:
                compare_ended(operations, arguments, service, name)
                outcome = "running and ended" if outcome else "ended"
            except Failure as failure:
                outcome = failure
        yield name, outcome


def compare_recorded(operations, arguments, names):
    """Yields (name, what was compared or the Failure) for operations that do not change."""
    for service, name in names:
        try:
            operation = operations.get(service, name)
            require_same(variables(operation), lro_variables(arguments, service, name), "as recorded")
            yield name, "as recorded"
        except Failure as failure:
            yield name, failure


def unsendable(name):
    """Why the Python client cannot ask for this name, or None."""
    # The client expands {+name} (RFC 6570, section 3.2.3), which leaves reserved characters and escapes as they are.
    if match := re.search(r"[?#]", name):
        return f"the Python client sends {match.group()!r} raw, which ends the path"
    if match := re.search(r"%(?!2[Ff])[0-9A-Fa-f]{2}", name):
        return f"the Python client sends {match.group()!r} raw, which the server decodes"
    if any(segment in (".", "..") for segment in name.split("/")):
        return "the Python client resolves '.' and '..' segments"
    return None


def service_of(name):
    """The service whose discovery document has the name's pattern, or None."""
    if re.fullmatch(r"projects/[^/]+/locations/[^/]+/operations/[^/]+", name):
        return APIGATEWAY
    if name.startswith("operations/"):
        return WORKSPACEEVENTS
    return None


def recorded(directory):
    """The (service, name) of every operation in the directory that can be compared, and (name, reason) of the rest."""
    names, skipped = [], []
    for file in sorted(directory.glob("*.json")):
        if file.is_dir():
            continue
        try:
            operation = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} is not an operation: {error}") from error
        name = operation.get("name") if isinstance(operation, dict) else None
        if not isinstance(name, str):
            raise ValueError(f'{file} is not an operation: give it a string member "name"')
        service = service_of(name)
        reason = unsendable(name)
        if service is None:
            reason = "no service of this script has such names"
        if reason is None:
            names.append((service, name))
        else:
            skipped.append((name, reason))
    return names, skipped


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lro", required=True, metavar="PATH", help="the lro command")
    parser.add_argument(
        "--endpoint", required=True, metavar="URL", help="the emulator, with a version: http://127.0.0.1:PORT/v1"
    )
    parser.add_argument(
        "--from", dest="directory", type=pathlib.Path, metavar="DIR", help="the directory that the emulator serves"
    )
    arguments = parser.parse_args()

    # lro takes the version as a part of the endpoint. The Python client has it in its discovery document.
    url = urllib.parse.urlsplit(arguments.endpoint)
    root, _, version = url.path.rstrip("/").rpartition("/")
    if not url.netloc or not re.fullmatch(r"v[0-9]+[a-z0-9]*", version):
        parser.error("--endpoint has to be a URL with a version, such as http://127.0.0.1:8080/v1")
    operations = Operations(urllib.parse.urlunsplit((url.scheme, url.netloc, root + "/", "", "")))

    if arguments.directory is None:
        outcomes = compare_builtin(operations, arguments)
    else:
        if not arguments.directory.is_dir():
            parser.error(f"--from: {arguments.directory} is not a directory")
        try:
            names, skipped = recorded(arguments.directory)
        except ValueError as error:
            parser.error(f"--from: {error}")
        for name, reason in skipped:
            print(f"SKIP {name}: {reason}")
        outcomes = compare_recorded(operations, arguments, names)

    passed = failed = 0
    for name, outcome in outcomes:
        if isinstance(outcome, Failure):
            failed += 1
            print(f"FAIL {name}")
            print("\n".join(f"    {line}" for line in str(outcome).splitlines()), flush=True)
        else:
            passed += 1
            print(f"PASS {name}: {outcome}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
