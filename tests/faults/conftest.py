"""Fixtures of the fault tests: those of the scenarios, whose harness is used here too."""

import importlib.util
import sys
from pathlib import Path

SCENARIO = Path(__file__).resolve().parents[1] / "scenario"
sys.path[:0] = [str(SCENARIO), str(Path(__file__).resolve().parent)]

_spec = importlib.util.spec_from_file_location("scenario_fixtures", SCENARIO / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
pytest_configure, pytest_sessionstart = _fixtures.pytest_configure, _fixtures.pytest_sessionstart
pytest_collection_modifyitems = _fixtures.pytest_collection_modifyitems
pytest_xdist_make_scheduler = _fixtures.pytest_xdist_make_scheduler
folder, in_memory, service = _fixtures.folder, _fixtures.in_memory, _fixtures.service
