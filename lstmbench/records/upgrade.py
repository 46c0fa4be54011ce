"""Run folders of older schemas, turned into the present one as they are read."""

from typing import Any

Plain = dict[str, Any]
"""A decoded JSON object."""

_RECORDS = {"Rung": "RungResult", "Machine": "MachinePeaks", "Checked": "BlockCheck"}
_FIELDS = {
    "row": "contender",
    "fixture": "case",
    "uncounted": "extra_calls",
    "ladder": "ngram_accuracy",
}
_OUTCOMES = {"agrees": "passed", "differs": "failed", "not claimed": "not claimed"}


def upgrade_header(header: Plain) -> Plain:
    """Return run.json of schema 1 or 2 as one of schema 3."""
    header = dict(header)
    if header["schema"] == 1:
        header["contenders"] = [_contender(row) for row in header.pop("rows")]
    settings = dict(header["settings"])
    if settings.pop("tf32", False) and settings["dtype"] == "float32":
        settings["dtype"] = "tf32"
    return {**header, "schema": 3, "settings": settings}


def upgrade_record(record: Plain) -> Plain:
    """Return a record of schema 1 as one of the schemas 2 and 3, in which they are alike."""
    kind = record["type"]
    result = {_FIELDS.get(name, name): value for name, value in record.items()}
    result["type"] = _RECORDS.get(kind, kind)
    if result.get("contender") is not None:
        result["contender"] = _contender(result["contender"])
    match kind:
        case "Rung" | "Checked":
            result["result"] = {
                "outcome": _OUTCOMES[result.pop("verdict")],
                "error": result.pop("error"),
                "tolerance": result.pop("band", None),
                "array": result.pop("tensor", ""),
                "note": result.pop("note", ""),
            }
        case "Block":
            result["units_per_call"] = result.pop("digits", 0) or 1
        case "Failure":
            result["kind"] = result.pop("reason")
    return result


def _contender(row: Plain) -> Plain:
    return {
        "backend": row["backend"],
        "device": row["device"],
        "replica": row.get("copy", 0),
        "injected_slowdown": row.get("slowed", False),
    }
