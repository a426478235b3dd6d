"""The schemas of the events: one for each type, true of what is written (every scenario looks at that when it ends),
and able to find a mistake."""

import json
import re
from pathlib import Path

import pytest

import schemas
from harness import TOP


def test_each_type_has_one():
    table = re.search(r"type_names\[\] = \{(.*?)\};", (TOP / "watcher/core/event.c").read_text("utf-8"), re.S)[1]
    assert schemas.names() == set(re.findall(r'"([a-z.]+)"', table))


def test_common_is_a_schema():
    common = json.loads((schemas.FOLDER / "common.schema.json").read_text("utf-8"))
    schemas.jsonschema.Draft202012Validator.check_schema(common)
    used = "".join(Path(p).read_text("utf-8") for p in schemas.FOLDER.iterdir())
    for name in common["$defs"]:
        assert f"$defs/{name}\"" in used, name


MISTAKES = {
    "a field more": {"colour": "red"},
    "no such type": {"size": "12"},
    "an id that is none": {"id": "12"},
    "a time without its fraction": {"time": "2026-01-31T10:00:00Z"},
    "another type": {"type": "run.skipped"},
    "too large for 64 bits": {"run_id": 2**63},
    "a field less": {"token": None},
    "half of what goes together": {"owner": None},
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(service, name):
    s = service().start()
    event = s.wait_event("run.started", path=s.put("a.csv"))[0]
    s.stop()
    schemas.check([event])
    wrong = {k: v for k, v in {**event, **MISTAKES[name]}.items() if v is not None or k == "watch"}
    assert list(schemas.validator_of("run.started").iter_errors(wrong))
