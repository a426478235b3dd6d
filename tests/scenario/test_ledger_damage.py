"""A ledger whose file is damaged: the program ends with a clear word, instead of starting what it cannot record."""

import os

import pytest

from harness import text


@pytest.mark.parametrize("page", [1, 3, 4, 6])
def test_damaged_pages_end_the_program(service, page):
    s = service().start()
    paths = [s.put(f"{n}.csv", text(f"{n}")) for n in range(40)]
    for path in paths:
        s.wait_run(path)
    s.stop()
    ledger = s.state / "ledger.db"
    with open(ledger, "r+b") as file:
        file.seek(page * 4096)
        file.write(os.urandom(4096))
    s.put("new.csv")
    s.start(wait=False)
    s.wait_end(78)
    assert "the ledger is damaged" in s.err()
    assert len(s.api.runs) == 40
