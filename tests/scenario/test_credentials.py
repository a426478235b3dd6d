"""Each kind of signing in with the real service; what happens when it is refused, and when nobody can be asked."""

import json
import os
import time

import pytest

import harness
from harness import wait_for
from signing import CLIENT, KINDS, PASSWORD, SECRET, USER, jwt, make_api, put_secret, signing_in

DISCOVERY = "/oidc/.well-known/oauth-authorization-server"


def asked(s):
    """Requests for an access token so far."""
    return s.api.sent(s.token_path)


def status(s):
    """{kind: [records]}"""
    done = s.verb("status", "--json")
    assert done.status == 0, done
    records = {}
    for line in done.out.splitlines():
        record = json.loads(line)
        records.setdefault(record["kind"], []).append(record)
    return records


# --- each kind --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_file_starts_its_run(service, kind):
    s = signing_in(service, kind)
    assert s.verb("check").status == 0
    s.start()
    paths = [s.put(f"{n}.csv") for n in range(20)]
    for path in paths:
        s.wait_run(path)
    s.check_started()
    assert {e["principal"] for e in s.events("run.started")} == {s.principal}
    assert {r.status for r in s.api.requests} == {200}, s.api.requests
    if s.token_path:
        assert len(asked(s)) == 1 and set(s.api.auth.issued) == {
            r.headers["authorization"].removeprefix("Bearer ") for r in s.api.sent("run-now")}
    s.stop()
    s.check_runs({path: 1 for path in paths})


@pytest.mark.parametrize("kind", KINDS)
def test_status_tells_how_and_how_long(service, kind):
    s = signing_in(service, kind).start()
    place = status(s)["workspace"][0]
    assert place["principal"] == s.principal and s.principal.startswith(place["auth"])
    if kind == "azure-managed-identity":
        assert place["credential_file"] is None and place["credential_changed"] is None
    else:
        age = time.time() - os.stat(place["credential_file"]).st_mtime
        assert age < 60 and place["credential_changed"][:4] == time.strftime("%Y", time.gmtime())
    s.wait_run(s.put("a.csv"))
    place = status(s)["workspace"][0]
    assert bool(place["token_expires"]) == bool(s.token_path)
    shown = s.verb("status").out
    assert f"signs in as {s.principal}" in shown
    assert ("access token is good for 59 min" in shown) == bool(s.token_path), shown
    assert ("with a file that was changed" in shown) == (kind != "azure-managed-identity")
    s.stop()


def test_the_authority_alone_gets_the_secret(service):
    """Entra is another server than the workspace, and each gets only what is its own."""
    with make_api() as entra:
        s = signing_in(service, "azure-client-secret")
        entra.auth = entra.azure.credentials = s.api.auth
        s.sections["workspace"]["azure_authority_host"] = entra.url
        s.write_configuration()
        s.start()
        s.wait_run(s.put("a.csv"))
        s.stop()
        assert [r.path for r in entra.requests] == [s.token_path]
        assert {r.path for r in s.api.requests} == {"/api/2.2/jobs/get", "/api/2.2/jobs/run-now"}
        assert not any("authorization" in r.headers for r in entra.requests)


def test_tokens_are_kept_nowhere(service):
    s = signing_in(service, "oauth-m2m").start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    s.start()
    s.wait_run(s.put("b.csv"))
    s.stop()
    assert len(asked(s)) == 2 and len(s.api.auth.issued) == 2


def test_scan_signs_in(service):
    s = signing_in(service, "oauth-m2m")
    path = s.put("a.csv")
    assert s.verb("scan").status == 0
    s.check_runs({path: 1})


# --- expiry -----------------------------------------------------------------------------------------------------------

def expire_in_the_middle(service, count, form):
    """Every access token is refused from the middle of a burst on."""
    s = signing_in(service, "oauth-m2m", brake="off")
    note = s.api.on_run

    def on_run(run):
        note(run)
        if len(s.api.runs) == count // 2:
            s.api.expire_tokens(status=form)
    s.api.on_run = on_run
    s.start()
    paths = [s.put(f"{n:05}.csv", f"{n}\n".encode()) for n in range(count)]
    s.wait_runs(count, timeout=120)
    s.check_started()
    s.stop()
    s.check_runs({path: 1 for path in paths})
    refused = [r for r in s.api.sent("run-now") if r.status != 200]
    assert refused and {r.status for r in refused} == {form}
    assert len(refused) <= 8, "more than were under way together"
    assert len(asked(s)) == 2, "one to begin with, one renewal"
    # each that was refused went out again as it was, with the same token
    bodies = [r.body for r in s.api.sent("run-now", status=200)]
    assert all(bodies.count(r.body) == 1 for r in refused)
    kinds = {e["type"] for e in s.events()}
    assert not kinds & {"start.failed", "start.retrying", "workspace.suspended"}, kinds


@pytest.mark.slow
def test_a_token_expires_in_a_burst_of_2000_files(service):
    expire_in_the_middle(service, 2000, 401)


@pytest.mark.parametrize("form", [403, 400])
def test_a_token_expires_in_other_words(service, form):
    expire_in_the_middle(service, 100, form)


def test_a_token_is_renewed_before_it_expires(service):
    """Short ones at half time: nobody is ever refused or kept waiting."""
    s = signing_in(service, "oauth-m2m")
    s.api.auth.token_lifetime, s.api.auth.expires_in_as_string = 2, True
    s.start()
    paths = []

    def enough():
        paths.append(s.put(f"{len(paths)}.csv"))
        s.wait_run(paths[-1])
        return len(asked(s)) >= 4
    wait_for(enough, "three renewals")
    s.stop()
    s.check_runs({path: 1 for path in paths})
    assert {r.status for r in s.api.requests} == {200}


def test_an_identity_token_is_read_at_each_exchange(service):
    s = signing_in(service, "oidc").start()
    s.wait_run(s.put("a.csv"))
    s.api.auth.federation = {jwt(2): CLIENT}
    put_secret(s, "jwt", jwt(2))
    s.api.expire_tokens()
    s.wait_run(s.put("b.csv"))
    s.stop()
    assert [r.status for r in asked(s)] == [200, 200]


# --- nobody signs us in -----------------------------------------------------------------------------------------------

def check_suspended_and_resumed(s, words, mend):
    """Files wait for the workspace with these words, and start once it is mended; none becomes a dead letter."""
    paths = [s.put(f"{n}.csv") for n in range(20)]
    detail = s.wait_event("workspace.suspended")[0]["detail"]
    assert all(word in detail for word in words), detail
    wait_for(lambda: all(word in s.err() for word in words[1:]), s.err)
    assert status(s)["workspace"][0]["state"] == "suspended"
    mend()
    for path in paths:
        s.wait_run(path)
    s.wait_event("workspace.resumed")
    s.check_started()
    s.stop()
    s.check_runs({path: 1 for path in paths})
    assert not s.events("start.failed")


@pytest.mark.parametrize("kind", ["oauth-m2m", "azure-client-secret"])
def test_a_wrong_secret(service, kind):
    s = signing_in(service, kind)
    put_secret(s, "secret", "wrong-secret-0123456789")
    s.start()
    words = ["credential_refused: sign-in at", s.api.url, "invalid_client", "refuses the credential"]
    words = words[:3] + (["AADSTS7000215"] if kind.startswith("azure") else ["Client authentication failed"])
    check_suspended_and_resumed(s, words, lambda: put_secret(s, "secret", SECRET))
    assert "refuses the credential" in s.err() and "wrong-secret" not in s.err()


def test_a_wrong_identity_token(service):
    s = signing_in(service, "oidc")
    s.api.auth.federation = {jwt(2): CLIENT}
    s.start()
    check_suspended_and_resumed(s, ["credential_refused: sign-in at", "invalid_grant", "no federation policy"],
                                lambda: put_secret(s, "jwt", jwt(2)))


def test_no_such_identity(service):
    s = signing_in(service, "azure-managed-identity")
    s.api.azure.identities = {"another"}
    s.start()
    check_suspended_and_resumed(s, ["credential_refused: sign-in at", "Identity not found"],
                                lambda: s.api.azure.identities.add(None))


@pytest.mark.parametrize("fault, words", [
    ({"kind": "status", "status": 503}, "try again later"),
    ({"kind": "redirect", "status": 307, "location": "http://127.0.0.1:9/"}, "redirects are not followed"),
    ({"kind": "answer", "content": {"access_token": "a\r\nX-Evil: 1"}}, "cannot be part of a header line"),
], ids=["503", "redirect", "smuggled"])
def test_no_token_to_be_had(service, fault, words):
    s = signing_in(service, "oauth-m2m")
    fault = s.api.fault(path="/oidc/v1/token", times=None, **fault)
    s.start()
    check_suspended_and_resumed(s, [words], lambda: s.api.remove_fault(fault))


def test_an_endpoint_elsewhere_is_not_asked(service):
    with harness.JobsApi({}) as trap:
        s = signing_in(service, "oauth-m2m")
        content = {"token_endpoint": f"{trap.url}/oidc/v1/token"}
        fault = s.api.fault("answer", path=DISCOVERY, times=None, content=content)
        s.start()
        check_suspended_and_resumed(s, ["a token endpoint at", trap.url], lambda: s.api.remove_fault(fault))
        assert trap.connections == 0


def test_the_token_is_refused_whatever_is_done(service):
    """One renewal for each try, then the workspace waits."""
    s = signing_in(service, "oauth-m2m")
    fault = s.api.fault("status", path="run-now", status=401, message="Not you.", times=None)
    s.start()
    check_suspended_and_resumed(s, ["credential_refused: Not you."], lambda: s.api.remove_fault(fault))
    assert len(asked(s)) < len(s.api.sent("run-now", status=401)) + 2


def test_a_credential_of_systemd_needs_a_restart(service):
    """It was copied when the service started: the message says what helps."""
    s = service()
    credentials = s.outside / "credentials"
    credentials.mkdir()
    (credentials / "api").touch(0o600)
    (credentials / "api").write_text("old-token-0123456789")
    s.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    s.sections["workspace"]["token_file"] = "credential:api"
    s.write_configuration()
    s.start()
    path = s.put("a.csv")
    assert "restart" in s.wait_event("workspace.suspended")[0]["detail"]
    assert "systemd copied credential:api when the service started" in s.err()
    s.stop()
    (credentials / "api").write_text(s.api.token)
    s.start()
    s.wait_run(path)
    s.stop()


# --- the configuration ------------------------------------------------------------------------------------------------

def test_more_than_one_kind_is_a_mistake_that_names_both(service):
    s = signing_in(service, "oauth-m2m")
    s.sections["workspace"]["token_file"] = s.token_file
    s.write_configuration()
    for verb in ("check", "run"):
        done = s.verb(verb)
        assert done.status == 78 and "token and oauth-m2m" in done.err, done
    assert s.api.requests == []


def test_user_and_password_are_warned_about(service):
    s = signing_in(service, "basic")
    assert "10 July 2024" in s.verb("check").err
    s.start()
    s.wait_run(s.put("a.csv"))
    assert "10 July 2024" in s.err()
    s.stop()


def test_user_and_password_of_a_profile_are_warned_about(service):
    s = signing_in(service, "profile")
    put_secret(s, "cfg", f"[prod]\nusername = {USER}\npassword = \"{PASSWORD}\"")
    s.start()
    s.wait_run(s.put("a.csv"))
    assert "10 July 2024" in s.err() and PASSWORD not in s.err()
    s.stop()


@pytest.mark.parametrize("content, words", [
    ("[other]\ntoken = x", "there is no profile [prod]"), ("[prod]\nhost = https://else.example\ntoken = x", "is for"),
    ("[prod]\ntoken = x\nclient_id = y\nclient_secret = z", "pat and oauth-m2m"),
    ("[prod]\nauth_type = databricks-cli", "not for a service"), ("[prod]\n token = x", "line 2 is indented"),
])
def test_a_profile_that_does_not_do(service, content, words):
    s = signing_in(service, "profile")
    put_secret(s, "cfg", content)
    done = s.verb("run")
    assert done.status == 78 and words in done.err and str(s.folder / "etc" / "cfg") in done.err, done


@pytest.mark.parametrize("kind", ["oauth-m2m", "oidc", "basic", "profile"])
def test_a_secret_that_others_can_read(service, kind):
    s = signing_in(service, kind)
    path = s.folder / "etc" / next(iter(KINDS[kind][1]))
    os.chmod(path, 0o640)
    assert f"chmod 600 {path}" in s.verb("check").err
    done = s.verb("run")
    assert done.status == 78 and f"chmod 600 {path}" in done.err and s.api.requests == []


def test_check_says_what_the_user_of_the_service_could_not_read(service):
    s = service()
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    os.chown(s.state, 4711, 4711)
    done = s.verb("check")
    assert done.status == 0 and "a service of user 4711" in done.err and "chown 4711" in done.err, done
    os.chown(s.token_file, 12345, 0)
    done = s.verb("check")
    assert done.status == 1 and "belongs to user 12345, who could change it" in done.err, done
    assert "the service would not start" in done.err and "is good" not in done.out


@pytest.mark.parametrize("user, status, words", [(4711, 1, "cannot read {}: Permission denied"),
                                                 (4712, 0, "{} cannot be read by this user, not checked")])
def test_check_by_a_user_who_may_not_read(service, user, status, words):
    s = service(user=user)
    os.chown(s.token_file, 0, 0)
    os.chown(s.state, 4711, 4711)
    done = s.verb("check")
    assert done.status == status and words.format(s.token_file) in done.err, done
    assert ("is good" in done.out) == (status == 0)


def test_check_says_what_systemd_hands_over(service):
    s = service(workspace={"token_file": "credential:token"})
    done = s.verb("check")
    assert done.status == 0 and "token_file = credential:token is handed over by systemd at the start" in done.err, done


@pytest.mark.parametrize("kind", ["oauth-m2m", "azure-managed-identity", "profile"])
def test_check_online_signs_in(service, kind):
    s = signing_in(service, kind)
    done = s.verb("check", "--online")
    assert done.status == 0 and s.principal in done.out, done
    assert len(asked(s)) == 1 and s.api.sent("jobs/get", status=200)
    s.api.auth.clients, s.api.azure.identities = {CLIENT: "another"}, {"another"}
    done = s.verb("check", "--online")
    words = "Identity not found" if kind.startswith("azure") else "Client authentication failed"
    assert done.status == 69 and words in done.out + done.err and "sign-in at" in done.out + done.err, done
