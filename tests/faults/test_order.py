"""`durability = power`, seen in the order of system calls: a request goes out after the sync of the commit that has it,
and a line leaves the outbox after the sync of the log that has it."""

from faults import Preload, arrive_all, check_all, end

AF_INET = "socket 2"


def of_dispatcher(preload):
    return [(call, what) for process, call, what in preload.trace() if process == "bw-dispatch"]


def is_ledger(what):
    return what.endswith(("/ledger.db", "/ledger.db-wal"))


def traced(service, folder, durability):
    preload = Preload(folder, trace=True)
    s = service(service={"durability": durability}, events={"max_size": "4KiB"}, environment=preload.environment)
    s.start()
    expected = arrive_all(s, "a", 30)
    for path in expected:
        s.wait_run(path)
    end(s)
    check_all(s, expected)
    return of_dispatcher(preload), s


def test_power(service, folder):
    calls, s = traced(service, folder, "power")
    wal, log = f"{s.state}/ledger.db-wal", str(s.log)
    unsynced, sends, log_writes, made = set(), 0, 0, False
    for call, what in calls:
        if call == "write" and (is_ledger(what) or what == log):
            # The next commit may be the one that takes lines out of the outbox.
            assert not (what == wal and log in unsynced), "the ledger was written while the log was not synced"
            assert not (what == wal and made), "the ledger was written while the folder of a new log was not synced"
            unsynced.add(what)
            log_writes += what == log
        elif call == "sync":
            unsynced.discard(what)
            made = made and what != str(s.log.parent)
        elif call == "rename" and what.startswith(log):
            made = True
        elif call == "send" and what == AF_INET:
            assert wal not in unsynced, "a request went out before its commit was synced"
            sends += 1
    assert sends >= 30 and log_writes > 0
    assert ("sync", wal) in calls and ("sync", str(s.log.parent)) in calls


def test_process(service, folder):
    """The other durability spares just these calls; so the test above can fail."""
    calls, s = traced(service, folder, "process")
    assert ("sync", str(s.log)) not in calls
    first = calls.index(("send", AF_INET))
    wal = f"{s.state}/ledger.db-wal"
    assert ("write", wal) in calls[:first]
    assert calls.count(("sync", wal)) < calls.count(("send", AF_INET))
