"""The JSON Schemas of the events, as installed, and stricter: nothing may be in an event that its schema does not
name."""

import functools
import json
from pathlib import Path

import jsonschema

FOLDER = Path(__file__).resolve().parents[2] / "packaging" / "schema"
ENDING = ".schema.json"


def names():
    """The types that have one."""
    return {p.name.removesuffix(ENDING) for p in FOLDER.glob(f"*{ENDING}")} - {"common"}


@functools.cache
def validator_of(name):
    """name must be in names()."""
    store = {f"{n}{ENDING}": json.loads((FOLDER / f"{n}{ENDING}").read_text("utf-8")) for n in ("common", name)}
    schema = {**store[f"{name}{ENDING}"], "unevaluatedProperties": False}
    jsonschema.Draft202012Validator.check_schema(schema)
    resolver = jsonschema.RefResolver(f"{name}{ENDING}", schema, store)
    return jsonschema.Draft202012Validator(schema, resolver=resolver)


def check(events, most=50):
    """Of each type the first ones."""
    seen = {}
    for event in events:
        kind = event["type"]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] > most:
            continue
        assert kind in names(), f"there is no schema of {event}"
        mistakes = [m.message for m in validator_of(kind).iter_errors(event)]
        assert not mistakes, f"{event}: {mistakes}"
