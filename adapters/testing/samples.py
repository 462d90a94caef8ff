"""The operations of `lro emulate`, as the samples of the manifest show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

MANIFEST: Dict[str, Any] = json.loads(Path(__file__).resolve().parents[2].joinpath("manifest.json").read_text(encoding="utf-8"))
SAMPLES: Dict[str, Any] = {sample["label"]: sample for sample in MANIFEST["samples"]}
FIELDS: List[str] = [output["field"] for output in MANIFEST["outputs"]]
assert len(FIELDS) == 11


def name_of(label: str) -> str:
    name: str = SAMPLES[label]["inputs"]["name"]
    return name


def shown(outputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The outputs as a sample shows them: by variable, JSON text as its value, ``null`` for the members of no object.

    They come by the fields of the WIT record, with ``-`` or ``_``, and members as ``{"key": …, "value": …}``.
    """
    values = {field.replace("_", "-"): value for field, value in outputs.items()}
    assert sorted(values) == sorted(FIELDS), list(outputs)

    def value(text: Optional[str]) -> Any:
        return None if text is None else json.loads(text)

    def members(list_: List[Dict[str, str]]) -> Dict[str, Any]:
        return {member["key"]: json.loads(member["value"]) for member in list_}

    for object_ in ("metadata", "response"):
        customs = f"{object_}-custom-key-value"
        values[customs] = None if values[object_] is None else members(values[customs])
        values[object_] = value(values[object_])
    values["error"] = value(values["error"])
    values["error-details"] = [value(detail) for detail in values["error-details"]]
    values["error-details-custom-key-value"] = [members(detail) for detail in values["error-details-custom-key-value"]]
    return {output["variable"]: values[output["field"]] for output in MANIFEST["outputs"]}
