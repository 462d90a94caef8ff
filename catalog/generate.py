#!/usr/bin/env python3
"""Writes services.tsv, own-types.tsv and urls.tsv, the catalogue of Google's long-running operations.

It reads the discovery documents bundled in the PyPI package google-api-python-client,
takes every method that gets a google.longrunning.Operation (AIP-151), adds the lines of
supplement.tsv, and writes one line per service and version. Run by hand:

    pip install google-api-python-client==2.202.0 && python3 catalog/generate.py

    --documents DIR|WHEEL  read the documents from a folder, or from the package's wheel,
                           instead of from the installed package
    --check                write nothing; print a unified diff and exit 1 if a checked-in
                           table would change
"""

import argparse
import dataclasses
import difflib
import importlib.metadata
import importlib.util
import json
import math
import pathlib
import re
import sys
import zipfile

PACKAGE = "google-api-python-client"
PACKAGE_VERSION = "2.202.0"
DOCUMENTS = "googleapiclient/discovery_cache/documents/"

# storage.v1's Operation adds `kind` and `selfLink`, so these are required, not exhaustive.
OPERATION_FIELDS = {"name", "metadata", "done", "error", "response"}

# A document's `name` is the service's name (AIP-122, Service Usage) also where the API is
# served from a host of another name. Each such host is confirmed here by hand, so that a
# new one is looked at before it enters the table.
#   drive: one of the APIs that www.googleapis.com serves by path.
#   remotebuildexecution: v1alpha is the administration surface of the service that is
#     enabled as remotebuildexecution.googleapis.com; no service bears the host's name.
#   translate: googleapis/googleapis, google/cloud/translate/v3/translate_v3.yaml.
HOSTS_OF_ANOTHER_NAME = {
    "drive": "www.googleapis.com",
    "remotebuildexecution": "admin-remotebuildexecution.googleapis.com",
    "translate": "translation.googleapis.com",
}

# Services whose plain host does not know the operations of a location: they are asked for at
# LOCATION-HOST. The documents do not tell which these are: run and composer list hosts of
# that form too, and yet get regional operations from their plain host.
LOCATIONAL_SERVICES = {"aiplatform.googleapis.com"}

# Paths that spell the parts of a name differently than the operation's own name does, with
# the template and the pattern of that name. Buckets are `projects/_/buckets/*` in names:
# https://cloud.google.com/storage/docs/using-long-running-operations
# drive's variable is the id alone, and takes one segment.
RESPELLED_PATHS = {
    "storage/v1/b/{bucket}/operations/{operationId}": (
        "storage/v1/b/{bucket}/operations/{operation}",
        "projects/_/buckets/*/operations/*",
    ),
    "drive/v3/operations/{name}": ("drive/v3/operations/{id}", "operations/*"),
}

# Services whose documents name no scope for the method, with the scope that their guide names:
# https://developers.google.com/zero-touch/guides/auth
SCOPES_OF_GUIDES = {
    "androiddeviceprovisioning": ("https://www.googleapis.com/auth/androidworkprovisioning",),
}

STAGES = ["GA", "beta", "alpha"]


class CatalogueError(Exception):
    """What stops the table from being written, in a sentence for whoever runs the script."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of services.tsv; the fields are its columns, tuples are joined by spaces."""

    service: str
    host: str
    version: str
    stage: str
    title: str
    template: str
    patterns: tuple[str, ...]
    scopes: tuple[str, ...]
    locations: tuple[str, ...]

    @property
    def pair(self):
        return self.service, self.version

    def order(self):
        """By service, then as a caller without a version should try: the best one first."""
        return self.service, version_rank(self.version)

    def cells(self):
        values = dataclasses.astuple(self)
        return [" ".join(value) if isinstance(value, tuple) else value for value in values]


COLUMNS = [field.name for field in dataclasses.fields(Row)]
LIST_COLUMNS = [field.name for field in dataclasses.fields(Row) if field.type != str]


def methods(resource):
    """Every method of a document, at any depth of its resources."""
    yield from resource.get("methods", {}).values()
    for nested in resource.get("resources", {}).values():
        yield from methods(nested)


def returns_operation(document, method):
    schema = document.get("schemas", {}).get(method.get("response", {}).get("$ref"), {})
    return OPERATION_FIELDS <= set(schema.get("properties", {}))


def gets_operation(document, method):
    return (
        method["httpMethod"] == "GET"
        and method["id"].endswith("operations.get")
        and returns_operation(document, method)
    )


def gets_own_type(document, method):
    """Whether the names that the method takes look like an operation's, but its answer is not one.

    The case is ignored for compute.zoneOperations.get and its like; the segment is required
    because resources such as unitOperations only share the end of the word.
    """
    return (
        method["httpMethod"] == "GET"
        and method["id"].lower().endswith("operations.get")
        and not returns_operation(document, method)
        and "operations" in (method["path"] + "/" + name_regex(method)).split("/")
    )


def name_regex(method):
    return method.get("parameters", {}).get("name", {}).get("pattern", "")


def host_of(document):
    return document["rootUrl"].removeprefix("https://").removesuffix("/")


def service_of(document):
    name, host = document["name"], host_of(document)
    service = f"{name}.googleapis.com"
    if host != service and HOSTS_OF_ANOTHER_NAME.get(name) != host:
        raise CatalogueError(
            f"{document['id']} is served from {host}: find its service name, "
            "then add the host to HOSTS_OF_ANOTHER_NAME"
        )
    return service


def parse_version(version):
    match = re.fullmatch(r"v(\d+)(?:p(\d+))?(?:(alpha|beta)(\d*))?", version)
    if not match:
        raise CatalogueError(f"the version {version!r} is not of AIP-185's form")
    major, point, channel, release = match.groups()
    # `v1beta` is a channel that moves on, `v1beta2` a frozen release of it: the channel is newer.
    return int(major), int(point or 0), channel or "GA", int(release) if release else math.inf


def stage_of(version):
    return parse_version(version)[2]


def version_rank(version):
    major, point, stage, release = parse_version(version)
    return STAGES.index(stage), -major, -point, -release


def resource_pattern(regex):
    """`^projects/[^/]+/operations/.*$` as the resource pattern `projects/*/operations/**`."""
    segment = r"(?:[A-Za-z0-9_-]+|\[\^/\]\+)"
    if not re.fullmatch(rf"\^(?:{segment}/)*(?:{segment}|\.\*)\$", regex):
        raise CatalogueError(f"the regex {regex!r} does not convert to a resource pattern")
    return regex[1:-1].replace(".*", "**").replace("[^/]+", "*")


def normalise(document, method):
    """The method's URL template and the resource pattern of the names that go into it."""
    path = document["servicePath"] + method["path"]
    if path in RESPELLED_PATHS:
        return RESPELLED_PATHS[path]
    if path.endswith("/{+name}"):
        prefix, pattern = path.removesuffix("{+name}"), resource_pattern(name_regex(method))
        # speech.v1 takes a bare id after the collection; AIP-151 has the collection in the name.
        if "operations" not in pattern.split("/") and prefix.endswith("/operations/"):
            prefix, pattern = prefix.removesuffix("operations/"), f"operations/{pattern}"
        return prefix + "{name}", pattern
    # The name's parts are variables of their own, one segment each: all after the version.
    version = document["version"]
    prefix, found, name = path.partition(f"{version}/")
    pattern = re.sub(r"\{\w+\}", "*", name)
    if not found or not re.fullmatch(r"(?:[A-Za-z0-9_-]+/\*/)*operations/\*", pattern):
        raise CatalogueError(f"the path {path!r} of {method['id']} {version} has an unknown form")
    return f"{prefix}{version}/{{name}}", pattern


def shortest_template(document, found):
    """The one template of a version, of the (template, pattern) pairs of its methods.

    videointelligence.v1 publishes its names under `v1/{name}` and under
    `v1/operations/{name}`: the shorter adds nothing to the name.
    """
    template = min((template for template, _ in found), key=lambda text: (len(text), text))
    if {pattern for _, pattern in found} != {pattern for text, pattern in found if text == template}:
        raise CatalogueError(
            f"{document['id']} needs several templates: " + ", ".join(sorted({t for t, _ in found}))
        )
    return template


def locations_of(document, service):
    if service not in LOCATIONAL_SERVICES:
        return ()
    host = host_of(document)
    locations = {
        endpoint["location"]
        for endpoint in document.get("endpoints", [])
        if endpoint["endpointUrl"] == f"https://{endpoint['location']}-{host}/"
    }
    if not locations:
        raise CatalogueError(f"{document['id']} no longer lists the hosts of its locations")
    return tuple(sorted(locations))


def scopes_of(document, getters):
    scopes = {scope for method in getters for scope in method.get("scopes", [])}
    guided = SCOPES_OF_GUIDES.get(document["name"], ())
    if scopes and guided:
        raise CatalogueError(f"{document['id']} names scopes now: remove it from SCOPES_OF_GUIDES")
    return tuple(sorted(scopes)) or guided


def made_up(pattern, locations=()):
    """A name that fits a pattern, in a location that has a host of its own where the service has such."""
    name = []
    for number, segment in enumerate(pattern.replace("**", "*/*/*").split("/")):
        at_location = name and name[-1] == "locations" and locations
        name.append((locations[0] if at_location else f"made-{number}") if segment == "*" else segment)
    return "/".join(name)


def located(host, name, locations):
    """The host that serves a name: that of its location, where that has one."""
    _, found, rest = name.partition("/locations/")
    location = rest.split("/")[0]
    return f"{location}-{host}" if found and location in locations else host


def example(document, method):
    """A made-up name, and its URL by the method's own path: what a request must come to.

    The path is expanded as it is published, not by the template that normalise() makes of it.
    """
    path = document["servicePath"] + method["path"]
    locations = locations_of(document, service_of(document))
    if path == "storage/v1/b/{bucket}/operations/{operationId}":
        name = "projects/_/buckets/made-1/operations/made-2"
        path = path.replace("{bucket}", "made-1").replace("{operationId}", "made-2")
    elif path == "drive/v3/operations/{name}":
        name, path = "operations/made-1", path.replace("{name}", "made-1")
    elif path.endswith("{+name}"):
        variable = made_up(resource_pattern(name_regex(method)), locations)
        name = variable if "operations" in variable.split("/") else f"operations/{variable}"
        path = path.replace("{+name}", variable)
    else:
        path = re.sub(r"\{\w+\}", "made-1", path)
        name = path.partition(f"{document['version']}/")[2]
    return name, f"https://{located(host_of(document), name, locations)}/{path}"


def published_examples(document):
    getters = [method for method in methods(document) if gets_operation(document, method)]
    if not getters:
        return
    template = shortest_template(document, {normalise(document, method) for method in getters})
    for method in getters:
        if normalise(document, method)[0] == template:
            yield service_of(document), document["version"], *example(document, method)


def supplement_examples(row):
    for pattern in row.patterns:
        name = made_up(pattern, row.locations)
        host = located(row.host, name, row.locations)
        yield row.service, row.version, name, f"https://{host}/{row.template.replace('{name}', name)}"


def row_of(document):
    """The document's row, or None if it has no method that gets an operation."""
    getters = [method for method in methods(document) if gets_operation(document, method)]
    if not getters:
        return None
    found = {normalise(document, method) for method in getters}
    service = service_of(document)
    return Row(
        service=service,
        host=host_of(document),
        version=document["version"],
        stage=stage_of(document["version"]),
        title=document["title"],
        template=shortest_template(document, found),
        patterns=tuple(sorted({pattern for _, pattern in found})),
        scopes=scopes_of(document, getters),
        locations=locations_of(document, service),
    )


def read_supplement(text):
    """The rows of supplement.tsv: services.tsv's columns, then the source of each row."""
    header, *lines = text.splitlines()
    if header.split("\t") != COLUMNS + ["source"]:
        raise CatalogueError("supplement.tsv: the header is not services.tsv's, then `source`")
    rows = []
    for line in lines:
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) + 1 or not cells[-1]:
            raise CatalogueError(f"supplement.tsv: a column or the source is missing in {line!r}")
        values = dict(zip(COLUMNS, cells))
        values.update({column: tuple(sorted(set(values[column].split()))) for column in LIST_COLUMNS})
        row = Row(**values)
        if row.stage != stage_of(row.version):
            raise CatalogueError(f"supplement.tsv: {row.service} {row.version} is {stage_of(row.version)}")
        rows.append(row)
    return rows


def merge(published, supplement):
    documented = {row.pair for row in published}
    for row in supplement:
        if row.pair in documented:
            raise CatalogueError(
                f"supplement.tsv: the documents have {row.service} {row.version} now, remove its line"
            )
    rows = sorted([*published, *supplement], key=Row.order)
    for row, following in zip(rows, rows[1:]):
        if row.pair == following.pair:
            raise CatalogueError(f"{row.service} {row.version} is described twice")
    return rows


def own_types(documents):
    return sorted(
        {
            (service_of(document), document["title"], method["id"])
            for document in documents
            for method in methods(document)
            if gets_own_type(document, method)
        }
    )


def render(header, rows):
    return "".join("\t".join(cells) + "\n" for cells in [header, *rows])


def tables(documents, supplement):
    """The text of each generated file, by its name."""
    published = [row for document in documents if (row := row_of(document))]
    supplement = read_supplement(supplement)
    rows = merge(published, supplement)
    urls = {line for document in documents for line in published_examples(document)}
    urls |= {line for row in supplement for line in supplement_examples(row)}
    return {
        "services.tsv": render(COLUMNS, [row.cells() for row in rows]),
        "own-types.tsv": render(["service", "title", "method"], own_types(documents)),
        "urls.tsv": render(["service", "version", "name", "url"], sorted(urls)),
    }


def installed_documents():
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    if version != PACKAGE_VERSION:
        raise CatalogueError(
            f"{PACKAGE} is {version}: run `pip install {PACKAGE}=={PACKAGE_VERSION}`, "
            "or set PACKAGE_VERSION to the version that the table should come from"
        )
    package = importlib.util.find_spec("googleapiclient").submodule_search_locations[0]
    return pathlib.Path(package).parent / DOCUMENTS


def read_documents(folder):
    if not folder.is_dir():
        raise CatalogueError(f"{folder} is neither a folder nor a wheel")
    documents = [
        json.loads(file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    # The folder also holds the directory's index, which describes no service.
    documents = [each for each in documents if each.get("kind") == "discovery#restDescription"]
    if not documents:
        raise CatalogueError(f"{folder} holds no discovery documents")
    return documents


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", metavar="DIR|WHEEL", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    here = pathlib.Path(__file__).resolve().parent

    try:
        folder = options.documents or installed_documents()
        if zipfile.is_zipfile(folder):
            folder = zipfile.Path(folder, DOCUMENTS)
        supplement = (here / "supplement.tsv").read_text(encoding="utf-8")
        generated = tables(read_documents(folder), supplement)
    except CatalogueError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")

    changed = False
    for name, text in generated.items():
        file = here / name
        if options.check:
            checked_in = file.read_text(encoding="utf-8") if file.exists() else ""
            diff = list(
                difflib.unified_diff(
                    checked_in.splitlines(keepends=True),
                    text.splitlines(keepends=True),
                    f"{name} (checked in)",
                    f"{name} (generated)",
                )
            )
            sys.stdout.writelines(diff)
            changed = changed or bool(diff)
        else:
            file.write_text(text, encoding="utf-8", newline="\n")
            print(f"{name}: {text.count(chr(10)) - 1} rows")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
