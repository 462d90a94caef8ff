#!/usr/bin/env python3
"""Writes what manifest.json says of services from services.tsv: the options of the setting
OPERATIONS_SERVICE, and the hosts that the block can reach.

Run it after generate.py: `python3 catalog/manifest.py`. A test of the repository holds the manifest
against the table.
"""

import csv
import json
import pathlib

FOLDER = pathlib.Path(__file__).parent
TABLE = FOLDER / "services.tsv"
MANIFEST = FOLDER.parent / "manifest.json"


def services():
    """The rows of the table by service, in its order."""
    grouped = {}
    with TABLE.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            grouped.setdefault(row["service"], []).append(row)
    return grouped


def words(rows, column):
    """The words of a column over all rows of a service, sorted, each once."""
    return sorted({word for row in rows for word in row[column].split()})


def option(service, rows):
    """What a visual editor offers for a service."""
    return {
        "value": service,
        "label": rows[0]["title"],
        "versions": [row["version"] for row in rows],
        "names": words(rows, "patterns"),
        "scopes": words(rows, "scopes"),
        "hosts": sorted({host for row in rows for host in hosts(row)}),
    }


def hosts(row):
    """The hosts of a version: its own, and one for each location that has one."""
    return [row["host"]] + [f"{location}-{row['host']}" for location in row["locations"].split()]


def main():
    table = services()
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    (setting,) = (s for s in manifest["settings"] if s["variable"] == "OPERATIONS_SERVICE")
    setting["options"] = [option(service, rows) for service, rows in table.items()]
    network = manifest["permissions"]["network"]
    network["allowedHosts"] = sorted({host for rows in table.values() for row in rows for host in hosts(row)})
    MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
