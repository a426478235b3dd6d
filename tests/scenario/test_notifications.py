"""Consumers of events ([notify:NAME]): each event arrives, at least once and in order, through every fault of the
receiver and of ours; nobody waits for one that is dead."""

import json
import os
import re
import signal
import time

import pytest

from harness import TOP, wait_for
from receiver import Receiver
from servers import Certificates

SECRET_PATH = "/services/T0SECRETPLACE/B0SECRETWORD"


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


def notify(s, name="ops", **keys):
    """Adds a consumer to the configuration."""
    s.sections[f"notify:{name}"] = {"on": "run.started", **keys}
    s.write_configuration()
    return s


def logged(s, kind):
    return [e["id"] for e in s.events(kind)]


def wait_taken(s, receiver, kind="run.started", count=None):
    """Until the receiver has all events of this type that are in the log, in their order."""
    def complete():
        have, want = receiver.ids(kind), logged(s, kind)
        return have == want and len(want) >= (count or 1)
    wait_for(complete, lambda: f"in the log {logged(s, kind)}\ngot {receiver.all()}\n{s.err()[-3000:]}")


def consumer(s, name="ops"):
    """How `status` has it."""
    lines = [json.loads(line) for line in s.verb("status", "--json").out.splitlines()]
    return next(j for j in lines if j["kind"] == "consumer" and j["consumer"] == name)


# --- what arrives -----------------------------------------------------------------------------------------------------

def test_the_event_arrives_as_it_is_in_the_log(service, receiver):
    key = "a key of 24 characters !"
    s = service()
    secret = s.folder / "etc" / "hook.key"
    secret.touch(0o600)
    secret.write_text(key + "\n")
    notify(s, webhook=receiver.url("/in?a=b"), webhook_secret_file=secret,
           webhook_header=["Authorization: Bearer sesame", "X-Team: data"])
    s.start()
    s.put("a.csv")
    wait_taken(s, receiver)
    got, line = receiver.all()[0], s.log.read_bytes().splitlines()
    assert got.body in line and got.path == "/in?a=b"
    assert got.headers["Content-Type"] == "application/json" and got.headers["X-Team"] == "data"
    assert got.headers["Authorization"] == "Bearer sesame"
    assert got.headers["X-Brickwatch-Event"] == "run.started" and got.id == got.event["id"]
    assert got.is_signed_with(key) and not got.is_signed_with("another")
    s.stop()
    assert len(receiver.all()) == 1


def test_only_what_was_asked_for(service, receiver):
    s = service(watches={"one": {}, "two": {"types": "@json"}})
    notify(s, on="file.*, watch.*", watch="two", webhook=receiver.url())
    s.start()
    s.put("a.csv")
    (s.folder / "two" / "b.csv").write_text("a,b\n1,2\n")
    wait_taken(s, receiver, "file.rejected")
    s.stop()
    assert {g.event["watch"] for g in receiver.all()} == {"two"}
    assert [g.event["type"] for g in receiver.all()] == ["watch.ready", "file.rejected"]


def test_a_body_of_ones_own(service, receiver):
    """Whatever a file is called, the result is JSON."""
    s = service()
    notify(s, webhook=receiver.url(), webhook_body='{"text": "started ${path}", "run": ${run_id}, "why": ${reason}}')
    s.start()
    path = s.put('a "quoted" \\ näme\t.csv')
    wait_taken(s, receiver)
    run = s.events("run.started")[0]["run_id"]
    assert receiver.all()[0].event == {"text": f"started {path}", "run": run, "why": None}
    s.stop()


def recipes():
    """{name: the section's keys} of doc/notifications.md."""
    text = (TOP / "doc" / "notifications.md").read_text()
    found = {}
    for name, block in re.findall(r"<!-- (\w+) -->\n\n((?:    .*\n)+)", text):
        lines = re.sub(r"\\\n\s+", "", block).splitlines()
        found[name] = dict(line.strip().split(" = ", 1) for line in lines[1:])
    return found


@pytest.mark.parametrize("recipe", ["pagerduty", "teams", "slack", "store"])
def test_recipes_make_json(service, receiver, recipe):
    """Of every event, digests included, whatever files are called; the configuration takes them as they stand."""
    s = service(types="@csv")
    keys = recipes()[recipe]
    (s.folder / "etc" / "key").touch(0o600)
    (s.folder / "etc" / "key").write_text("key")
    keys.update(webhook=receiver.url(), on="*", digest="3/1s")
    if "webhook_secret_file" in keys:
        keys["webhook_secret_file"] = s.folder / "etc" / "key"
    notify(s, **{k: re.sub(r"(.{100}[,}]) ", r"\1 \\\n  ", v) if isinstance(v, str) else v for k, v in keys.items()})
    s.start()
    for name in ('q"uo\\te.csv', "n\näme.csv", "bad {{.csv", "text.txt"):
        s.put(name, b"%PDF-1.4\n" if name == "text.txt" else None)
    s.wait_event("file.rejected")
    s.wait_event("start.failed")
    s.wait_event("run.started", count=2)
    s.verb("pause", "drop", "--reason", 'a "reason"')
    wait_for(lambda: consumer(s)["waiting"] == 0, s.err)
    kinds = {got.headers["X-Brickwatch-Event"] for got in receiver.all()}
    assert "notify.digest" in kinds and len(kinds) > 1
    for got in receiver.all():
        body = got.event
        if recipe == "pagerduty":
            assert body["dedup_key"] == got.id and body["payload"]["custom_details"]["id"] == got.id
            assert body["payload"]["summary"].startswith("brickwatch ") and body["payload"]["timestamp"]
        elif recipe == "teams":
            content = body["attachments"][0]["content"]
            assert content["$schema"].startswith("http") and content["body"][2]["facts"][1]["value"] == got.id
        elif recipe == "slack":
            assert body["text"].startswith(got.headers["X-Brickwatch-Event"])
        else:
            assert body["id"] == got.id and got.is_signed_with("key")
    s.stop()


# --- receivers that fail ----------------------------------------------------------------------------------------------

FAILURES = {
    "500": [500, 503],
    "429": [(429, {"Retry-After": "1"}, b"slowly")],
    "408": [408],
    "closes in the middle": ["close", "close"],
    "resets": ["reset"],
    "garbage": ["garbage"],
    "hangs": ["hang"],
    "404": [(404, {}, b"no such hook"), 404],
    "401": [401],
    "400 once": [400],
    "redirect": [(302, {"Location": "http://127.0.0.1:1/"}, b"")],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_it_is_tried_again(service, receiver, failure):
    s = notify(service(), webhook=receiver.url(), request_timeout="500ms").start()
    receiver.answers.extend(FAILURES[failure])
    s.put("a.csv")
    wait_taken(s, receiver)
    s.put("b.csv")
    wait_taken(s, receiver, count=2)
    first = [g for g in receiver.all() if g.id == receiver.all()[0].id]
    assert len(first) == len(FAILURES[failure]) + 1 and len({g.body for g in first}) == 1
    if failure == "429":
        assert first[1].at - first[0].at >= 1
    assert "consumer ops (127.0.0.1:" in s.err() and "takes its events again" in s.err()
    s.stop()


def test_nobody_listens(service, receiver):
    receiver.stop()
    s = notify(service(), webhook=receiver.url()).start()
    for name in ("a", "b", "c"):
        s.wait_run(s.put(f"{name}.csv"))
    wait_for(lambda: consumer(s)["failed_attempts"] > 0, s.err)
    assert consumer(s)["waiting"] == 3 and consumer(s)["state"] == "failing" and consumer(s)["detail"]
    receiver.start()
    wait_taken(s, receiver, count=3)
    assert consumer(s)["waiting"] == 0 and consumer(s)["delivered"] == 3
    s.stop()


def test_unknown_authority(service, folder):
    made = Certificates(folder / "tls")
    made.authority("ca")
    with Receiver(tls=(made.sign("server", "ca"), made.path("server.key"))) as receiver:
        s = notify(service(folder=folder / "s"), webhook=receiver.url(SECRET_PATH)).start()
        s.wait_run(s.put("a.csv"))
        wait_for(lambda: consumer(s)["failed_attempts"] > 0, s.err)
        assert "ca_file" in consumer(s)["detail"] and not receiver.all()
        s.sections["notify:ops"]["ca_file"] = made.path("ca.pem")
        s.write_configuration()
        assert s.verb("reload").status == 0
        wait_taken(s, receiver, count=1)
        s.stop()
        assert "SECRET" not in s.err()


# --- giving up --------------------------------------------------------------------------------------------------------

def test_a_longer_pause_than_there_is_time(service, receiver):
    receiver.answer = (503, {"Retry-After": "3600"}, b"in an hour")
    s = notify(service(), webhook=receiver.url(), retry_for="2s").start()
    s.put("a.csv")
    dropped = s.wait_event("notify.dropped", consumer="ops")
    assert dropped[0]["count"] == 1 and "in an hour" in dropped[0]["detail"]
    s.stop()


def test_what_was_never_tried_is_not_late(service, receiver):
    """Gathered for a digest for longer than retry_for, behind one that was dropped."""
    receiver.answer = (500, {}, b"")
    s = notify(service(), webhook=receiver.url(), retry_for="1s", digest="1/8s").start()
    s.put("a.csv")
    s.wait_event("notify.dropped", consumer="ops")
    receiver.answer = 204
    s.put("b.csv")
    wait_for(lambda: receiver.taken(), s.err)
    assert receiver.ids() == logged(s, "run.started")[1:]
    s.stop()
    assert len(s.events("notify.dropped")) == 1


def test_a_file_that_is_missing_stops_nothing(service, receiver):
    """Neither when the dispatcher is replaced, nor at the next start: the consumer fails until it is there."""
    s = service()
    place = s.folder / "etc" / "hook"
    place.touch(0o600)
    place.write_text(receiver.url() + "\n")
    notify(s, webhook=place).start()
    s.put("a.csv")
    wait_taken(s, receiver)
    place.rename(f"{place}.away")
    s.kill("bw-dispatch")
    s.wait_run(s.put("b.csv"))
    assert str(place) in consumer(s)["detail"] and consumer(s)["place"] == "not set up"
    s.stop()
    s.start()
    s.wait_run(s.put("c.csv"))
    os.rename(f"{place}.away", place)
    wait_taken(s, receiver, count=3)
    s.stop()


def test_after_the_deadline_one_event_tells_how_many(service, receiver):
    receiver.answer = (503, {}, b"out for lunch")
    s = notify(service(), webhook=receiver.url(), retry_for="1s").start()
    for n in range(5):
        s.wait_run(s.put(f"{n}.csv"))
    dropped = s.wait_event("notify.dropped", consumer="ops")
    wait_for(lambda: sum(e["count"] for e in s.events("notify.dropped")) == 5, s.err)
    assert "not delivered within 1 s: HTTP 503: out for lunch" in dropped[0]["detail"]
    assert dropped[0]["first_id"] == logged(s, "run.started")[0]
    receiver.answer = 204
    s.put("late.csv")
    wait_for(lambda: receiver.taken(), s.err)
    assert receiver.ids() == logged(s, "run.started")[-1:]
    assert consumer(s)["dropped"] == 5
    s.stop()


def test_one_that_is_refused_does_not_stop_the_others(service, receiver):
    receiver.answer = lambda got: 422 if b"bad.csv" in got.body else 204
    s = notify(service(), webhook=receiver.url()).start()
    for name in ("bad.csv", "good.csv"):
        s.wait_run(s.put(name))
    dropped = s.wait_event("notify.dropped", timeout=180)[0]
    assert dropped["count"] == 1 and dropped["first_id"] == logged(s, "run.started")[0] == dropped["last_id"]
    assert "HTTP 422" in dropped["detail"]
    wait_for(lambda: receiver.ids() == logged(s, "run.started")[1:], s.err)
    s.stop()


def test_nothing_is_told_about_notifications(service, receiver):
    """Not even to somebody who wants everything."""
    receiver.answer = 503
    s = service()
    with Receiver() as other:
        notify(s, "dead", webhook=receiver.url(), retry_for="1s")
        notify(s, "all", on="*", webhook=other.url())
        s.start()
        s.put("a.csv")
        s.wait_event("notify.dropped")
        s.wait_run(s.put("b.csv"))
        wait_taken(s, other, count=2)
        s.stop()
        assert s.events("notify.dropped") and not other.all("notify.dropped")
        assert other.ids() == [e["id"] for e in s.events() if e["type"] not in ("notify.dropped", "service.stopped")]


# --- nobody waits for a dead one --------------------------------------------------------------------------------------

def test_a_dead_consumer_beside_a_live_one(service, receiver):
    receiver.answer = "hang"
    s = service()
    with Receiver() as alive:
        notify(s, "dead", webhook=receiver.url())
        notify(s, "alive", webhook=alive.url())
        s.start()
        paths = [s.put(f"{n}.csv") for n in range(200)]
        for path in paths:
            s.wait_run(path)
        wait_taken(s, alive, count=200)
        assert consumer(s, "dead")["waiting"] == 200 and len(receiver.all()) == 1
        s.barrier()
        outbox = s.verb("status", "--check")
        assert outbox.status == 0, outbox
        receiver.release()
        s.stop()


def test_storm(service, receiver):
    """Thousands of failures are a few digests, which say how many of what, and where to look."""
    s = service()
    notify(s, on="start.failed", webhook=receiver.url(), webhook_body='{"all": ${event}, "text": "${detail}"}',
           digest="20/3s")
    s.start()
    began = time.monotonic()
    for n in range(10000):
        (s.drop / f"{n:05} {{{{x.csv").write_text("a")
    s.wait_event("start.failed", count=10000, timeout=120)

    def told():
        return sum(g.event["all"].get("events", 1) for g in receiver.taken()) == 10000
    wait_for(told, lambda: f"{receiver.all()}\n{s.err()}")
    digests = [g.event for g in receiver.taken("notify.digest")]
    times = (time.monotonic() - began) // 3 + 2
    assert 1 <= len(digests) <= times and len(receiver.taken()) <= 21 * times
    for number, body in enumerate(digests):
        all_ids, digest = logged(s, "start.failed"), body["all"]
        first, last = all_ids.index(digest["first_id"]), all_ids.index(digest["last_id"])
        assert last - first + 1 == digest["events"] and digest["watch"] == "drop", number
        assert digest["counts"] == [{"type": "start.failed", "watch": "drop", "events": digest["events"]}]
        assert digest["paths"] == [e["path"] for e in s.events("start.failed")[first:first + 10]]
        assert body["text"] == f"{digest['events']} events: {digest['events']} start.failed of drop"
    s.stop()


# --- killed -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("who", ["bw-dispatch", "keeper"])
def test_killed_again_and_again(service, receiver, who):
    """At least once, in order; what comes twice has the same id and is the same."""
    # a short time for each, since the hanging one may be under way when a round of this begins
    s = notify(service(service={"durability": "power"}), webhook=receiver.url(), request_timeout="2s").start()
    receiver.answers.extend([503, "close", "hang"])
    for number in range(6):
        seen = len(receiver.all())
        paths = [s.put(f"{number}-{n}.csv") for n in range(20)]
        wait_for(lambda before=seen: len(receiver.all()) > before, s.err)
        if who == "keeper":
            s.kill_keeper()
            s.start()
        else:
            s.kill(who)
        for path in paths:
            s.wait_run(path)
    receiver.release()
    wait_taken(s, receiver, count=120)
    bodies = {}
    for got in receiver.all():
        assert bodies.setdefault(got.id, got.body) == got.body
    s.stop()


def test_what_waited_goes_out_after_a_restart(service, receiver):
    receiver.stop()
    s = notify(service(), webhook=receiver.url(), on="run.started, service.*").start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    receiver.start()
    s.start()
    wanted = ["service.started", "run.started", "service.stopped", "service.started"]
    wait_for(lambda: [g.event["type"] for g in receiver.taken()] == wanted, s.err)
    s.stop()


# --- configuration ----------------------------------------------------------------------------------------------------

def test_reload(service, receiver):
    """A consumer that goes takes its notices along, with an event; one that is changed keeps them; a new one begins."""
    receiver.answer = 503
    s = service()
    with Receiver() as second:
        notify(s, "kept", webhook=receiver.url())
        notify(s, "gone", webhook=receiver.url())
        s.start()
        s.wait_run(s.put("a.csv"))
        wait_for(lambda: consumer(s, "kept")["waiting"] == 1, s.err)
        del s.sections["notify:gone"]
        notify(s, "kept", webhook=second.url())
        notify(s, "new", webhook=second.url("/new"))
        done = s.verb("reload", "--reason", "consumers")
        assert done.status == 0, done
        dropped = s.wait_event("notify.dropped", consumer="gone")[0]
        assert dropped["count"] == 1 and "not configured" in dropped["detail"]
        wait_for(lambda: [g.path for g in second.taken()] == ["/hook"], s.err)
        s.put("b.csv")
        wait_for(lambda: sorted(g.path for g in second.all()) == ["/hook", "/hook", "/new"], s.err)
        s.stop()


def test_secrets_are_never_shown(service, receiver):
    receiver.answer = (404, {}, SECRET_PATH.encode() + b" is not known")
    s = service(service={"trace": "all"})
    notify(s, webhook=receiver.url(SECRET_PATH), webhook_header="X-Api-Key: SECRETHEADER",
           webhook_body='{"routing_key": "SECRETKEY", "summary": "${type}"}')
    s.start()
    s.wait_run(s.put("a.csv"))
    wait_for(lambda: consumer(s)["failed_attempts"] > 0, s.err)
    shown = [s.verb(*words).out for words in (("config",), ("config", "--json"), ("status",), ("status", "--json"))]
    assert "webhook_header = X-Api-Key: ..." in shown[0]
    assert f"webhook = http://127.0.0.1:{receiver.port}/..." in shown[0]
    assert s.verb("check").status == 0
    s.stop()
    assert receiver.all()[0].headers["X-Api-Key"] == "SECRETHEADER" and "SECRETKEY" in receiver.all()[0].body.decode()
    for text in (*shown, s.err(), s.log.read_text()):
        assert "SECRET" not in text


def test_the_address_in_a_file(service, receiver):
    """It is read again when a delivery failed, so a mended file needs no reload."""
    s = service()
    place = s.folder / "etc" / "hook.url"
    place.touch(0o600)
    place.write_text(receiver.url("/wrong") + "\n")
    receiver.answer = lambda got: 204 if got.path == "/right" else 404
    notify(s, webhook=place)
    s.start()
    s.put("a.csv")
    wait_for(lambda: consumer(s)["failed_attempts"] > 0, s.err)
    place.write_text(receiver.url("/right") + "\n")
    wait_taken(s, receiver)
    s.stop()


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_key_that_others_can_read_is_refused(service, receiver, mode):
    s = service()
    secret = s.folder / "etc" / "hook.key"
    secret.write_text("key")
    os.chmod(secret, mode)
    notify(s, webhook=receiver.url(), webhook_secret_file=secret)
    done = s.verb("check")
    assert done.status == (1 if mode == 0o644 else 0), done
    assert ("webhook_secret_file" in done.err) == (mode == 0o644)


def test_a_reload_that_could_not_work_is_refused(service, receiver):
    """Not even for a consumer, and the running one goes on."""
    s = notify(service(), webhook=receiver.url()).start()
    notify(s, webhook=receiver.url(), webhook_secret_file=s.folder / "etc" / "missing")
    done = s.verb("check")
    assert done.status == 1 and "a reload is refused" in done.err, done
    assert "the service would not reach all its consumers" in done.err, done
    done = s.verb("reload", "--reason", "a key")
    assert done.status == 78 and "webhook_secret_file" in done.err, done
    s.put("a.csv")
    wait_taken(s, receiver)
    s.stop()
    s.start()  # which is no reason for runs to wait
    s.wait_run(s.put("b.csv"))
    assert "webhook_secret_file" in consumer(s)["detail"] and "webhook_secret_file" in s.err()
    s.stop()


def test_status_and_metrics(service, receiver):
    receiver.answer = (503, {}, b"closed today")
    s = service()
    s.sections["service"]["metrics_file"] = s.folder / "bw.prom"
    notify(s, webhook=receiver.url()).start()
    s.wait_run(s.put("a.csv"))
    wait_for(lambda: consumer(s)["failed_attempts"] > 0, s.err)
    shown = s.verb("status").out
    assert re.search(r"\nconsumer ops \(webhook 127\.0\.0\.1:\d+\) is failing, 1 event waits, the oldest for .*; "
                     r"no delivery yet.*\n    HTTP 503: closed today\n", shown), shown
    assert s.verb("status", "--check").status == 0  # not yet for long

    def has(*lines):
        text = (s.folder / "bw.prom").read_text()
        return all(f'\nbrickwatch_consumer_{line}' in text for line in lines)
    wait_for(lambda: has('up{consumer="ops"} 0', 'events{consumer="ops"} 1',
                         'oldest_timestamp_seconds{consumer="ops"} '), "metrics")
    receiver.answer = 204
    wait_taken(s, receiver)
    wait_for(lambda: has('up{consumer="ops"} 1', 'events{consumer="ops"} 0', 'delivered_total{consumer="ops"} 1',
                         'dropped_total{consumer="ops"} 0'), "metrics")
    assert re.search(r"consumer ops \(.*\) is ok, 0 events wait; last delivery .* ago\n", s.verb("status").out)
    s.stop()


def test_check_warns_of_an_address_that_all_can_read(service):
    s = notify(service(), webhook="https://hooks.example/services/SECRET")
    s.ini.chmod(0o644)
    done = s.verb("check")
    assert done.status == 0 and "warning: [notify:ops]: everybody can read" in done.err and "SECRET" not in done.err
    s.ini.chmod(0o640)
    assert "everybody" not in s.verb("check").err


def test_scan_delivers_before_it_ends(service, receiver):
    s = notify(service(), webhook=receiver.url())
    paths = [s.put(f"{n}.csv") for n in range(10)]
    done = s.verb("scan")
    assert done.status == 0, done
    assert [g.event["path"] for g in receiver.taken()] == [e["path"] for e in s.events("run.started")]
    assert len(receiver.taken()) == len(paths)


def test_signals_that_all_processes_get(service, receiver):
    """SIGHUP opens the log anew, and holds up nobody."""
    s = notify(service(), webhook=receiver.url()).start()
    s.put("a.csv")
    wait_taken(s, receiver)
    os.kill(s.process.pid, signal.SIGHUP)
    s.put("b.csv")
    wait_taken(s, receiver, count=2)
    assert not re.search("error", s.err())
    s.stop()
