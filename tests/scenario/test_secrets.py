"""The token: in no output, no file and no memory but the dispatcher's; and whose file it may be in."""

import base64
import contextlib
import json
import os
import subprocess

import pytest

import harness
from harness import ORDINARY, text, wait_for
from signing import KINDS, put_secret, secret_words, signing_in

HUGE = 4 << 30  # larger mappings are a sanitizer's shadow of the memory, not memory


def memory_holds(pid, words):
    """Which of these words are anywhere in the readable memory of a process."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if mode[0] != "r" or end - start > HUGE or "[vvar" in line or "[vsyscall" in line:
                continue
            tail = b""
            for at in range(start, end, 1 << 20):
                with contextlib.suppress(OSError):
                    piece = os.pread(memory.fileno(), min(1 << 20, end - at), at)
                    found.update(w for w in words if w in tail + piece)
                    tail = piece[-200:]
    return found


def files_that_hold(folder, word, *but):
    found = []
    for here, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(here, name)
            if path not in map(str, but) and os.path.isfile(path):
                with open(path, "rb") as file:
                    if word in file.read():
                        found.append(path)
    return found


def check_nowhere(s):
    """In no file but its own, and in nothing that was printed."""
    token = s.api.token.encode()
    assert files_that_hold(s.folder, token, s.token_file) == []
    assert token not in s.err().encode() and not any(token in o.data for o in s.outputs)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to read the memory of others")
def test_in_no_memory_but_the_dispatchers(service):
    s = service(types="@csv", service={"log_level": "debug"}).start()
    s.wait_run(s.put("a.csv"))
    s.api.fault("status", status=503, path="run-now", times=2)
    s.put("b.csv")
    s.wait_event("start.retrying")
    s.kill("bw-watch")  # a second watcher is started when the dispatcher has long had the token
    wait_for(lambda: s.pids("bw-watch"), "another watcher")
    s.wait_run(s.put("c.csv"))
    token, secret_free = s.api.token.encode(), f"{s.drop}".encode()
    processes = {name: s.pid(name) for name in ("keeper", "bw-dispatch", "bw-watch", "bw-sniff")}
    found = {name: memory_holds(pid, {token, secret_free}) for name, pid in processes.items()}
    assert token in found["bw-dispatch"] and secret_free in found["bw-dispatch"], "the search does not find anything"
    assert secret_free in found["keeper"] and secret_free in found["bw-watch"], "the search does not find anything"
    assert [name for name in found if token in found[name]] == ["bw-dispatch"]
    for pid in processes.values():
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                assert token not in file.read()
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            core = next(line for line in file if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"], core
    s.barrier()
    check_nowhere(s)
    s.stop()
    check_nowhere(s)


def test_in_no_output_of_any_verb(service):
    s = service(service={"log_level": "debug"})
    path = s.put("a.csv")
    for words in (["check"], ["config"], ["config", "--json"], ["explain", path], ["explain", "--json", path],
                  ["scan", "--dry-run"], ["scan"], ["events"], ["events", "--json"]):
        done = s.verb(*words)
        assert done.status == 0, (words, done)
        assert s.api.token not in done.out + done.err, words
    assert s.api.sent("run-now")[0].headers["authorization"] == f"Bearer {s.api.token}"
    check_nowhere(s)


def check_words_nowhere(s):
    """None of the secrets of any kind in a file but those made for it, nor in anything that was printed."""
    own = [s.token_file, *(s.folder / "etc" / name for _, files, _, _ in KINDS.values() for name in files)]
    printed = b"".join(o.data for o in s.outputs)
    for word in secret_words(s):
        assert files_that_hold(s.folder, word.encode(), *own) == [], word
        assert word.encode() not in printed, word


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to read the memory of others")
@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_in_no_memory_but_the_dispatchers(service, kind):
    s = signing_in(service, kind, types="@csv", service={"log_level": "debug"}).start()
    s.wait_run(s.put("a.csv"))
    s.kill("bw-watch")
    wait_for(lambda: s.pids("bw-watch"), "another watcher")
    s.wait_run(s.put("b.csv"))
    words = {w.encode() for w in secret_words(s)}
    found = {name: memory_holds(s.pid(name), words) for name in ("keeper", "bw-dispatch", "bw-watch", "bw-sniff")}
    assert found.pop("bw-dispatch"), "the search does not find anything"
    assert not any(found.values()), found
    for name in ("keeper", "bw-dispatch", "bw-watch", "bw-sniff"):
        for file in ("cmdline", "environ"):
            with open(f"/proc/{s.pid(name)}/{file}", "rb") as shown:
                content = shown.read()
            assert not any(word in content for word in words)
    s.stop()
    check_words_nowhere(s)


def show_requests(s, **options):
    """An error that shows what was sent, as some gateways do."""
    def note(request):
        authorization = request.headers.get("authorization", "")
        scheme, _, word = authorization.partition(" ")
        plain = base64.b64decode(word).decode() if scheme == "Basic" else ""
        shown.options["message"] = f"Authorization: {authorization} {request.body.decode()[:4000]} ({plain})"
        return True
    shown = s.api.fault("status", when=note, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_in_no_output_of_any_verb(service, kind):
    s = signing_in(service, kind, service={"log_level": "debug"})
    path = s.put("a.csv")
    outputs = []

    def say(*words):
        done = s.verb(*words)
        assert done.status == 0, (words, done)
        outputs.append(done.out + done.err)
    for words in (["check"], ["config"], ["config", "--json"], ["explain", path], ["scan"], ["events", "--json"]):
        say(*words)
    s.start()
    show_requests(s, path="run-now", body="b.csv", status=401, times=2)
    if s.token_path:
        show_requests(s, path=s.token_path, status=400)
    other = s.put("b.csv")
    s.wait_event("workspace.suspended")
    for words in (["status"], ["status", "--json"], ["explain", "--json", other], ["files", "--json"], ["events"]):
        say(*words)
    s.wait_run(other)
    s.stop()
    assert not [w for w in secret_words(s) if any(w in output for output in outputs)]
    check_words_nowhere(s)


def test_not_when_the_server_shows_it(service):
    """An error page that repeats the request, headers and all."""
    s = service().start()
    shown = f"bad request: GET / Authorization: Bearer {s.api.token} Host: x"
    s.api.fault("status", status=400, message=shown, path="run-now", body="json.csv")
    s.api.fault("plain", status=400, message=shown, path="run-now", body="plain.csv")
    s.api.fault("html", status=503, message=shown, path="run-now", body="html.csv")
    s.api.fault("status", status=401, message=shown, path="run-now", body="refused.csv", times=2)
    for name in ("json", "plain"):
        event = s.wait_event("start.failed", path=s.put(f"{name}.csv"))[0]
        assert "bad request" in event["message"] and s.api.token not in event["message"]
    s.wait_event("start.retrying", path=s.put("html.csv"))
    s.put("refused.csv")
    wait_for(lambda: "refuses the credential" in s.err(), s.err)
    s.wait_runs(2)
    s.stop()
    check_nowhere(s)


@pytest.mark.parametrize("shape", [
    {"error_code": "WORD", "message": "no"}, {"error": {"code": "WORD", "message": "no"}},
    {"message": "no", "details": [{"reason": "WORD"}]}, {"scimType": "WORD", "detail": "no"}])
def test_not_when_the_server_takes_it_for_a_code(service, shape):
    s = service().start()
    content = json.dumps(shape).replace("WORD", s.api.token)
    s.api.fault("answer", status=400, content=content, path="run-now", body="failed.csv")
    s.api.fault("answer", status=503, content=content, path="run-now", body="late.csv")
    assert s.wait_event("start.failed", path=s.put("failed.csv"))[0]["message"] == "no"
    path = s.put("late.csv")
    s.wait_event("start.retrying", path=path)
    s.verb("explain", path)
    s.verb("files", "--json")
    s.wait_run(path)
    s.stop()
    check_nowhere(s)


@pytest.mark.parametrize("status", [400, 503])
def test_not_when_who_hands_out_tokens_takes_it_for_a_code(service, status):
    s = signing_in(service, "oauth-m2m")
    put_secret(s, "secret", "plain-client-secret")
    s.api.fault("answer", status=status, content='{"error": "plain-client-secret", "error_description": "d"}',
                path=s.token_path, times=1000)
    s.start()
    path = s.put("a.csv")
    wait_for(lambda: "sign-in at" in s.verb("explain", path).out, s.err)
    s.stop()
    assert files_that_hold(s.folder, b"plain-client-secret", s.folder / "etc" / "secret") == []
    assert not any(b"plain-client-secret" in o.data for o in s.outputs) and "plain-client-secret" not in s.err()


# --- the file ---------------------------------------------------------------------------------------------------------

def refused(s):
    """What is said by a service that does not start."""
    s.put("a.csv")
    done = s.verb("run")
    assert done.status == 78, done
    assert s.api.requests == [] and s.api.token not in done.err
    return done.err


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o601], ids=oct)
def test_a_file_that_others_can_read_is_refused(service, mode):
    s = service()
    os.chmod(s.token_file, mode)
    assert f"chmod 600 {s.token_file}" in refused(s)
    os.chmod(s.token_file, 0o600)
    s.start()
    s.wait_run(s.drop / "a.csv")


@pytest.mark.parametrize("content", [b"", b"\n", b"two words\n", b"two\nlines\n", b"x" * 100000,
                                     b"caf\xc3\xa9\n", b"a\0b"],
                         ids=["empty", "blank", "two words", "two lines", "long", "not ascii", "nul"])
def test_a_file_that_holds_no_token_is_refused(service, content):
    s = service()
    s.token_file.write_bytes(content)
    words = refused(s)
    assert str(s.token_file) in words and "two" not in words


@pytest.mark.parametrize("what", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused(service, what):
    s = service()
    s.token_file.unlink()
    if what == "folder":
        s.token_file.mkdir()
    elif what == "pipe":
        os.mkfifo(s.token_file, 0o600)
    assert str(s.token_file) in refused(s)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_a_file_of_somebody_else_is_refused(service):
    s = service()
    os.chown(s.token_file, ORDINARY - 1, 0)
    assert "the service's user may own it" in refused(s)


def test_a_link_and_white_space_are_fine(service):
    """Mounted secrets are links, and editors end a file with a line feed."""
    s = service()
    (s.outside / "secret").write_text(f"{s.api.token}\r\n")
    os.chmod(s.outside / "secret", 0o400)
    s.token_file.unlink()
    s.token_file.symlink_to(s.outside / "secret")
    s.start()
    s.wait_run(s.put("a.csv"))


def test_a_credential_of_systemd(service):
    """credential:NAME in the folder that systemd names."""
    s = service()
    credentials = s.outside / "credentials"
    credentials.mkdir()
    os.rename(s.token_file, credentials / "api")
    s.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    s.sections["workspace"]["token_file"] = "credential:api"
    s.write_configuration()
    s.start()
    s.wait_run(s.put("a.csv"))
    for name in ("keeper", "bw-watch") if os.geteuid() == 0 else ():
        with open(f"/proc/{s.pid(name)}/environ", "rb") as file:
            found = b"CREDENTIALS_DIRECTORY" in file.read()
        assert found == (name == "keeper")


# --- the environment --------------------------------------------------------------------------------------------------

def test_proxies_and_other_words_of_the_environment_are_ignored(service, folder):
    nobody = "http://127.0.0.1:9"
    (folder / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    environment = {name: nobody for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")}
    environment.update({"HOME": str(folder), "DATABRICKS_TOKEN": "another-token", "DATABRICKS_HOST": nobody,
                        "MAGIC": "/dev/null", "SSL_CERT_FILE": "/dev/null", "CURL_HOME": str(folder)})
    s = service(types="@csv", environment=environment).start()
    path = s.put("a.csv", text("a", 10))
    s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert {r.headers["authorization"] for r in s.api.requests} == {f"Bearer {s.api.token}"}


def test_the_request_says_nothing_more_than_it_must(service):
    s = service().start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    request = s.api.sent("run-now")[0]
    assert (request.method, request.path) == ("POST", "/api/2.2/jobs/run-now")
    assert set(request.headers) <= {"host", "user-agent", "accept", "content-type", "content-length", "authorization"}
    assert request.headers["user-agent"].startswith("brickwatch/")


def test_redirects_are_not_followed_with_the_token(service):
    with harness.JobsApi({}) as trap:
        s = service().start()
        s.api.fault("redirect", status=307, location=f"{trap.url}/api/2.2/jobs/run-now", path="run-now", times=2)
        path = s.put("a.csv")
        s.wait_run(path)
        s.stop()
        assert trap.requests == []
        s.check_runs({path: 1})


def test_nothing_can_be_read_by_others(service):
    """State and log."""
    s = service()
    s.state.rmdir()
    s.log.parent.rmdir()
    old = os.umask(0)
    try:
        s.start()
    finally:
        os.umask(old)
    s.wait_run(s.put("a.csv"))
    found = subprocess.run(["find", s.state, s.log.parent, "-perm", "/o+rwx"], stdout=subprocess.PIPE, check=True)
    assert found.stdout == b""
