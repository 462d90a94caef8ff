"""The operations of `lro emulate` as the manifest shows them, for the tests of the adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

MANIFEST: Dict[str, Any] = json.loads(Path(__file__).resolve().parents[1].joinpath("manifest.json").read_text(encoding="utf-8"))
SAMPLES: Dict[str, Any] = {sample["label"]: sample for sample in MANIFEST["samples"]}
FIELDS: List[str] = [output["field"] for output in MANIFEST["outputs"]]
assert len(FIELDS) == 11


def name_of(label: str) -> str:
    name: str = SAMPLES[label]["inputs"]["name"]
    return name


def shown(outputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The outputs as a sample has them: by variable, JSON text as its value, `null` for what an absent object has.

    They come by the field of the WIT record, with members as `{"key": …, "value": …}`.
    """
    assert list(outputs) == FIELDS, list(outputs)

    def value(text: Optional[str]) -> Any:
        return None if text is None else json.loads(text)

    def members(list_: List[Dict[str, str]]) -> Dict[str, Any]:
        return {member["key"]: json.loads(member["value"]) for member in list_}

    values = {
        **outputs,
        "error": value(outputs["error"]),
        "error-details": [value(detail) for detail in outputs["error-details"]],
        "error-details-custom-key-value": [members(detail) for detail in outputs["error-details-custom-key-value"]],
    }
    for field in ("metadata", "response"):
        values[field] = value(outputs[field])
        customs = f"{field}-custom-key-value"
        values[customs] = None if outputs[field] is None else members(outputs[customs])
    return {output["variable"]: values[output["field"]] for output in MANIFEST["outputs"]}
