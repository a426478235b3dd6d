"""Mail about events ([notify:NAME] with mail_to), received by a real server (Exim) with STARTTLS and password, and by
servers that misbehave."""

import os

import pytest

from harness import wait_for
from mailserver import PASSWORD, USER, Exim, Rogue, polite
from servers import Certificates
from test_notifications import consumer, logged

FROM, TO = "brickwatch@example.com", "ops@example.com"


@pytest.fixture(name="certificates")
def _certificates(folder):
    made = Certificates(folder / "tls")
    made.authority("ca")
    made.authority("stranger")
    made.sign("server", "ca")
    os.chmod(folder, 0o755)
    return made


@pytest.fixture(name="exim")
def _exim(folder, certificates):
    with Exim(folder / "exim", certificates.path("server.pem"), certificates.path("server.key"), True) as server:
        yield server.start()


@pytest.fixture(name="made")
def _made(service, folder):
    return service(folder=folder / "s")


def notify(s, url, name="ops", **keys):
    s.sections[f"notify:{name}"] = {"on": "run.started", "mail_to": TO, "mail_from": FROM, "smtp": url, **keys}
    s.write_configuration()
    return s


def signed_in(s, exim, certificates, name="ops", **keys):
    secret = s.folder / "etc" / "smtp-password"
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n")
    return notify(s, exim.url, name, smtp_username=USER, smtp_password_file=secret, ca_file=certificates.path("ca.pem"),
                  **keys)


def identity(event):
    return f"<{event['id']}.brickwatch@{event['host']}>"


def wait_mails(s, server, kind="run.started", count=1):
    """Until there is a mail for each event of this type in the log; those mails, in the order of the log."""
    def complete():
        events = s.events(kind)
        return len(events) >= count and all(identity(e) in server.mails() for e in events)
    wait_for(complete, lambda: f"{s.events(kind)}\n{server.output()}\n{s.err()[-3000:]}")
    mails = server.mails()
    return [mails[identity(e)] for e in s.events(kind)]


def wait_failing(s, words):
    wait_for(lambda: consumer(s)["failed_attempts"] > 0 and words in (consumer(s)["detail"] or ""),
             lambda: f"{consumer(s)}\n{s.err()[-3000:]}")
    return consumer(s)["detail"]


# --- what arrives -----------------------------------------------------------------------------------------------------

NAMES = {
    "plain": ("a.csv", "a.csv"),
    "umlauts, Japanese, emoji": ("Grüße 日本 😀.csv", "Grüße 日本 😀.csv"),
    "line ends": ("a\nBcc: evil@example.com\r\n\r\n.\r\nb.csv",
                  "a\\nBcc: evil@example.com\\x0d\\n\\x0d\\n.\\x0d\\nb.csv"),
    "no UTF-8": (b"a\xff\xe9.csv", "a\ufffd\ufffd.csv"),
    "long": ("ü" * 120 + ".csv", "ü" * 120 + ".csv"),
    "encoded words": ("=?utf-8?b?YQ==?= x.csv", "=?utf-8?b?YQ==?= x.csv"),
}


@pytest.mark.parametrize("name", NAMES)
def test_subject_and_text_decode_to_the_name(made, exim, certificates, name):
    real, shown = NAMES[name]
    s = signed_in(made, exim, certificates, on="run.started, start.failed", subject="${type} of ${path} $$",
                  body=["File ${path}", '" "', "Größe: ${size}"]).start()
    (s.drop / os.fsdecode(real)).write_text("a,b\n")
    kind = "start.failed" if isinstance(real, bytes) else "run.started"
    mail = wait_mails(s, exim, kind)[0]
    assert mail.subject == f"{kind} of {s.drop}/{shown} $"
    assert mail.text.rstrip("\n") == f"File {s.drop}/{shown}\n \nGröße: 4"
    assert mail.message["From"] == FROM and mail.message["To"] == TO and mail.message["Bcc"] is None
    assert mail.message["Auto-Submitted"] == "auto-generated" and mail.message["X-Brickwatch-Event"] == kind
    assert not mail.message.defects and mail.raw.isascii() and max(map(len, mail.raw.splitlines())) < 200
    s.stop()


def test_what_it_says_by_itself(made, exim, certificates):
    """What happened, to which file, why, what to do, how to see more."""
    s = signed_in(made, exim, certificates, on="start.failed", mail_to=[TO, '"Nacht, Schicht <night@example.com>"'],
                  mail_from="Brückenwächter <brickwatch@example.com>").start()
    path = s.drop / "it's {{x.csv"
    path.write_text("a")
    mail = wait_mails(s, exim, "start.failed")[0]
    event = s.events("start.failed")[0]
    assert mail.subject == f"brickwatch on {event['host']}: no run for {path}: {event['reason']}"
    for words in (event["message"], str(path), event["id"], "brickwatch retry", "Watch:         drop", "[notify:ops]"):
        assert words in mail.text
    command = next(line.strip() for line in mail.text.splitlines() if "brickwatch explain" in line)
    assert os.popen(f"printf %s {command.removeprefix('brickwatch explain ')}").read() == str(path)
    assert mail.message["From"].addresses[0].display_name == "Brückenwächter"
    assert [a.display_name for a in mail.message["To"].addresses] == ["", "Nacht, Schicht"]
    assert sorted(mail.to) == ["night@example.com", TO]
    s.stop()


def test_many_are_a_digest(made, exim, certificates):
    s = signed_in(made, exim, certificates, on="start.failed", digest="2/1h", subject="one: ${path}")
    for n in range(300):
        (s.drop / f"{n} {{{{.csv").write_text("a")
    s.start()
    s.wait_event("start.failed", count=300)
    wait_for(lambda: any("events" in m.subject for m in exim.mails().values()), lambda: exim.output() + s.err())
    digest = next(m for m in exim.mails().values() if "events" in m.subject)
    assert "start.failed of watch drop" in digest.text and f"{s.drop}/" in digest.text
    assert digest.message["X-Brickwatch-Event"] == "notify.digest" and len(exim.mails()) <= 3
    s.stop()


# --- the line ---------------------------------------------------------------------------------------------------------

def test_starttls_and_tls_with_password(made, exim, certificates):
    s = signed_in(made, exim, certificates)
    signed_in(s, exim, certificates, "tls", smtp=exim.tls_url, on="watch.ready")
    s.start()
    s.put("a.csv")
    wait_mails(s, exim)
    wait_mails(s, exim, "watch.ready")
    lines = [line for line in exim.log().splitlines() if " <= " in line]
    assert len(lines) == 2 and all("X=TLS1.3" in line and f"A=plain:{USER}" in line for line in lines)
    status = consumer(s)
    assert status["way"] == "mail" and status["place"] == f"127.0.0.1:{exim.port}" and status["delivered"] == 1
    s.stop()


def test_a_certificate_of_a_stranger(made, exim, certificates):
    s = signed_in(made, exim, certificates)
    s.sections["notify:ops"]["ca_file"] = certificates.path("stranger.pem")
    s.write_configuration()
    s.start()
    s.wait_run(s.put("a.csv"))
    words = wait_failing(s, "certificate")
    assert "signed by nobody in ca_file" in words and not exim.accepted() and "AUTH" not in exim.log()
    s.stop()


def test_a_wrong_password_is_mended_without_a_reload(made, exim, certificates):
    s = signed_in(made, exim, certificates)
    secret = s.folder / "etc" / "smtp-password"
    secret.write_text("Wrong0neSECRET\n")
    s.start()
    s.wait_run(s.put("a.csv"))
    wait_failing(s, "smtp_password_file (535")
    secret.write_text(PASSWORD + "\n")
    wait_mails(s, exim)
    assert "takes its events again" in s.err()
    s.stop()
    for text in (s.err(), s.log.read_text(), s.verb("config").out):
        assert "SECRET" not in text and PASSWORD not in text and "V3Jvbmcw" not in text


def test_relay_of_this_machine(made, folder):
    """No TLS, no password: what a machine's own mail server usually is."""
    with Exim(folder / "exim").start() as exim:
        s = notify(made, exim.url).start()
        s.put("a.csv")
        wait_mails(s, exim)
        s.stop()


def test_starttls_with_a_bad_certificate_beside_a_relay(made, folder, certificates):
    """To this machine without a password there is nothing that TLS would keep from anybody."""
    with Exim(folder / "exim", certificates.path("server.pem"), certificates.path("server.key")).start() as exim:
        s = notify(made, exim.url).start()
        s.put("a.csv")
        wait_mails(s, exim)
        s.stop()


# --- refused ----------------------------------------------------------------------------------------------------------

def test_one_recipient_is_refused(made, exim, certificates):
    s = signed_in(made, exim, certificates, mail_to=f"nobody@example.com, {TO}").start()
    s.put("a.csv")
    assert wait_mails(s, exim)[0].to == [TO]
    wait_for(lambda: consumer(s)["delivered"] == 1, s.err)
    assert "nobody@example.com does not get a mail that others get: 550 no such user here" in s.err()
    s.stop()


def test_one_recipient_is_put_off(made, exim, certificates):
    """The others do not get it again."""
    (exim.folder / "defer").touch()
    s = signed_in(made, exim, certificates, mail_to=f"slow@example.com, {TO}").start()
    s.put("a.csv")
    wait_failing(s, "451 try again later")  # of the mail as a whole, once the others have it
    assert "slow@example.com is put off: 451 try again later" in s.err()
    (exim.folder / "defer").unlink()
    wait_for(lambda: consumer(s)["delivered"] == 1, s.err)
    wait_for(lambda: len(list((exim.folder / "mail" / "new").glob("*"))) == 2, exim.output)
    assert len(exim.accepted()) == 2 and exim.log().count(f"for {TO}") + exim.log().count(f"=> ops <{TO}>") == 1
    s.stop()


def test_a_mail_that_is_never_taken(made, exim, certificates):
    s = signed_in(made, exim, certificates, body="${path}").start()
    s.wait_run(s.put("refuse this.csv"))
    s.put("b.csv")
    dropped = s.wait_event("notify.dropped", timeout=180)[0]
    assert "refuses this mail: 550 we do not like that" in dropped["detail"]
    wait_for(lambda: exim.accepted() == [identity(s.events("run.started")[1])], exim.output, 120)
    s.stop()


# --- servers that misbehave -------------------------------------------------------------------------------------------

def fails_first(how, where, times=2):
    """Answers `how` to lines that begin with `where`, so often."""
    left = [times]

    def script(line, _number):
        if left[0] > 0 and (line or "greeting").upper().startswith(where):
            left[0] -= 1
            return how
        return polite(line)
    return script


@pytest.mark.parametrize("how, where", [
    ("421 busy", "GREETING"), (None, "GREETING"), ("hang", "GREETING"), ("\0\xff\r\n", "GREETING"),
    ("450 later", "MAIL"), ("550 not you", "MAIL"), (None, "RCPT"), ("451 later", "RCPT"), ("550 nobody", "RCPT"),
    ("hang", "RCPT"), ("451 later", "DATA"), (None, "DATA"), ("452 full", "."), (None, "."), ("hang", "."),
    ("554 once", "."), ("nonsense", "MAIL"), ("x" * 5000, "RCPT"),
])
def test_it_is_tried_again(made, how, where):
    with Rogue(fails_first(how, where, 1 if how == "hang" else 2)) as rogue:
        # only who hangs, or never says what a greeting is, is to be given up
        short = how in ("hang", "\0\xff\r\n")
        s = notify(made, rogue.url, request_timeout="500ms" if short else "20s").start()
        s.put("a.csv")
        if how == "hang":
            wait_failing(s, "in time")
            rogue.released.set()
        wait_for(lambda: consumer(s)["delivered"] == 1, lambda: f"{consumer(s)}\n{s.err()}")
        s.put("b.csv")
        wait_for(lambda: consumer(s)["delivered"] == 2, s.err)
        ids = [mail.id for mail in rogue.mails]
        assert list(dict.fromkeys(ids)) == [identity(e) for e in s.events("run.started")]
        assert (len(ids) > 2) == (where == ".")
        s.stop()


def test_a_hanging_server_holds_up_nobody(made, folder):
    """At every place where it can hang, the end of the mail above all."""
    with Exim(folder / "exim").start() as exim:
        for number, where in enumerate(("GREETING", "MAIL", ".")):
            with Rogue(fails_first("hang", where, 99)) as rogue:
                s = made
                notify(s, rogue.url, "dead", request_timeout="10m")
                notify(s, exim.url, "alive")
                s.start()
                paths = [s.put(f"{number}-{n}.csv") for n in range(20)]
                for path in paths:
                    s.wait_run(path)
                wait_mails(s, exim, count=20 * (number + 1))
                wait_for(lambda rogue=rogue: rogue.connections == 1, s.err)
                assert consumer(s, "dead")["waiting"] >= 20 and consumer(s, "dead")["delivered"] == 0
                assert s.verb("status", "--check").status == 0
                s.stop()


# --- killed -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("who", ["bw-dispatch", "keeper"])
def test_killed_again_and_again(made, exim, certificates, who):
    """At least once, in order; what comes twice has the same Message-ID."""
    s = signed_in(made, exim, certificates, digest="off").start()
    for number in range(4):
        paths = [s.put(f"{number}-{n}.csv") for n in range(8)]
        wait_for(lambda seen=len(exim.accepted()): len(exim.accepted()) > seen, lambda: exim.output() + s.err())
        if who == "keeper":
            s.kill_keeper()
            s.start()
        else:
            s.kill(who)
        for path in paths:
            s.wait_run(path)
    wait_mails(s, exim, count=32)
    want = [identity(e) for e in s.events("run.started")]
    assert list(dict.fromkeys(exim.accepted())) == list(dict.fromkeys(want))
    s.stop()


# --- configuration ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("keys, words", [
    ({"mail_to": "ops"}, 'mail_to: "ops" is not an address like ops@example.com'),
    ({"mail_to": "grüße@example.com"}, "not ASCII"),
    ({"mail_from": "a@b@c"}, "mail_from"),
    ({"mail_from": None}, "without mail_from"),
    ({"smtp": None}, "without smtp"),
    ({"smtp": "mail.example.com"}, "smtp is smtp://HOST"),
    ({"smtp": "smtp://u:p@mail.example.com"}, "smtp_username"),
    ({"subject": "${pth}"}, "subject: column 1: no event has a field ${pth}, did you mean ${path}?"),
    ({"body": ["ok", "x ${"]}, 'body: column 3: "${" without "}"'),
    ({"smtp_username": "x"}, "smtp_password_file"),
    ({"smtp_password": "x"}, "smtp_password_file"),
    ({"ca_file": "/does/not/exist.pem"}, "ca_file"),
])
def test_mistakes(service, keys, words):
    done = notify(service(), "smtp://mail.example.com", **keys).verb("check")
    assert done.status == (1 if "ca_file" in keys else 78) and words in done.err, done


def test_a_good_configuration(service):
    s = notify(service(), "smtps://mail.example.com:465", body=["a", "\"\"", "b"])
    assert s.verb("check").status == 0
    assert logged(s, "run.started") == []
