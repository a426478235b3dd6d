"""TLS to a real nginx in front of the stand-in: what is wrong is said in a sentence, nothing is sent, and after it was
mended every file has its run, once. And what is configured takes effect, as nginx's log shows.

All cases run in one service, each a workspace and a watch of its own, at the same time.
"""

import json
import os

import pytest

from harness import Service, make_folder, remove, text, wait_for
from servers import Certificates, Nginx, replace

RSA = "ECDHE-RSA-AES128-GCM-SHA256"
RSA256 = "ECDHE-RSA-AES256-GCM-SHA384"
SUITE = "TLS_AES_128_GCM_SHA256"
SUITE256 = "TLS_AES_256_GCM_SHA384"
PASSWORD = "pass word\u00e4"
OTHER_PASSWORD = "quite another"


class World:
    """Certificates, nginx, one service for the cases that work and those that do not."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = Certificates(folder / "ca")
        self._make_certificates()
        self.nginx = self.service = None
        self.suspended, self.requests, self.said = {}, [], ""

    def _make_certificates(self):
        ca = self.ca
        ca.authority("ca")
        ca.authority("stranger")
        ca.authority("clients")
        ca.sign("good", "ca", rsa=True)
        ca.sign("expired", "ca", begin=-7200, end=-3600)
        ca.sign("early", "ca", begin=3600, end=7200)
        ca.sign("elsewhere", "ca", names="DNS:elsewhere.example")
        ca.sign("client", "clients", use="clientAuth")
        ca.sign("foreign", "stranger", use="clientAuth")
        replace(ca.path("client.other.key"), ca.encrypt("client", OTHER_PASSWORD))
        ca.encrypt("client", PASSWORD)
        ca.pkcs12("client", PASSWORD)
        ca.secret("password", PASSWORD)
        ca.secret("other", OTHER_PASSWORD)

    def own(self, case, name):
        """A copy of a file that this case alone uses, so that it can be replaced."""
        copy = self.ca.path(f"{case}-{name}")
        replace(copy, self.ca.path(name))
        return copy


def server(certificate="good", protocols="TLSv1.2 TLSv1.3", more=""):
    def build(world):
        path = world.ca.path(certificate)
        return f"ssl_certificate {path}.pem; ssl_certificate_key {path}.key; ssl_protocols {protocols}; {more}"
    return build


def wants_client(world):
    return server(more=f"ssl_verify_client on; ssl_client_certificate {world.ca.path('clients.pem')};")(world)


def client(certificate, key=None, password=None):
    """Keys of the workspace; copies of the files, so that they can be replaced."""
    def build(world, case):
        keys = {"client_certificate": world.own(case, certificate)}
        if key:
            keys["client_key"] = world.own(case, key)
        if password:
            keys["client_key_password_file"] = world.own(case, password)
        return keys
    return build


# {case: (server, keys of the workspace, part of what is said)}; keys may be a function of (world, case).
WRONG = {
    "wrong-ca": (server(), lambda w, case: {"ca_file": w.own(case, "stranger.pem")},
                 "the certificate of {host} is signed by nobody in ca_file = {ca_file}: if it is the right server, "
                 "add the certificate of its authority there"),
    "no-ca": (server(), {"ca_file": None},
              "the certificate of {host} is signed by nobody we know: if it is the right server, put the certificate "
              "of its authority into a file and set ca_file"),
    "expired": (server("expired"), {}, "the certificate of {host} has expired"),
    "early": (server("early"), {}, "the certificate of {host} is not valid yet"),
    "elsewhere": (server("elsewhere"), {}, "the certificate of {host} is for another name: is host right?"),
    "tls11": (server(protocols="TLSv1.1", more="ssl_ciphers DEFAULT:@SECLEVEL=0;"), {},
              "{host} does not speak TLS 1.2 or later"),
    "tls12-only": (server(protocols="TLSv1.2"), {"tls_min": "1.3"}, "{host} does not speak TLS 1.3 or later"),
    "tls13-only": (server(protocols="TLSv1.3"), {"tls_max": "1.2"}, "{host} does not speak TLS 1.2: "),
    "cipher12": (server(protocols="TLSv1.2", more=f"ssl_ciphers {RSA256};"), {"ciphers": RSA},
                 "{host} takes none of the ciphers in ciphers and tls13_ciphers"),
    "cipher13": (server(protocols="TLSv1.3", more=f"ssl_conf_command Ciphersuites {SUITE256};"),
                 {"tls13_ciphers": SUITE}, "{host} takes none of the ciphers in ciphers and tls13_ciphers"),
    "plain": (lambda w: "", {}, "{host} does not speak TLS at this port: is host right?"),
    "no-client": (wants_client, {}, "{host} wants a client certificate: set client_certificate"),
    "foreign-client": (wants_client, client("foreign.pem", "foreign.key"),
                       "{host} does not take the client certificate in {client_certificate}"),
    "lost-password": (wants_client, client("client.pem", "client.encrypted.key", "password"),
                      "the password in client_key_password_file does not open the key in {client_key}"),
    "java-client": (wants_client, client("client.p12", password="password"),
                    "client_certificate = {client_certificate} is a Java keystore (JKS), which is not read here; "
                    "convert it with: keytool -importkeystore -srckeystore {client_certificate} -srcstoretype JKS "
                    "-destkeystore {client_certificate}.p12 -deststoretype PKCS12"),
}

# What the service is started with, before it gets worse.
GETS_WORSE = {
    "lost-password": lambda w, keys: replace(keys["client_key"], w.ca.path("client.other.key")),
    "java-client": lambda w, keys: keys["client_certificate"].write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0"),
}

# How these get better while the service runs; all others by another nginx at the same port.
GETS_BETTER = {
    "wrong-ca": lambda w, keys: replace(keys["ca_file"], w.ca.path("ca.pem")),
    "foreign-client": lambda w, keys: (replace(keys["client_certificate"], w.ca.path("client.pem")),
                                       replace(keys["client_key"], w.ca.path("client.key"))),
    "lost-password": lambda w, keys: replace(keys["client_key_password_file"], w.ca.path("other")),
    "java-client": lambda w, keys: replace(keys["client_certificate"], w.ca.path("client.p12")),
}

# {case: (server, keys, what nginx's log says of it: protocol, cipher, client)}
RIGHT = {
    "default": (server(), {}, ("TLSv1.3", None, "NONE")),
    "tls-max": (server(), {"tls_max": "1.2"}, ("TLSv1.2", None, "NONE")),
    "tls-min": (server(), {"tls_min": "1.3", "tls_max": "1.3"}, ("TLSv1.3", None, "NONE")),
    "ciphers": (server(), {"tls_max": "1.2", "ciphers": RSA}, ("TLSv1.2", RSA, "NONE")),
    "other-ciphers": (server(), {"tls_max": "1.2", "ciphers": RSA256}, ("TLSv1.2", RSA256, "NONE")),
    "tls13-ciphers": (server(), {"tls13_ciphers": SUITE}, ("TLSv1.3", SUITE, "NONE")),
    "other-tls13-ciphers": (server(), {"tls13_ciphers": "TLS_CHACHA20_POLY1305_SHA256"},
                            ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", "NONE")),
    "pem": (wants_client, client("client.pem", "client.key"), (None, None, "SUCCESS")),
    "pem-password": (wants_client, client("client.pem", "client.encrypted.key", "password"), (None, None, "SUCCESS")),
    "pkcs12": (wants_client, client("client.p12", password="password"), (None, None, "SUCCESS")),
    "pkcs12-tls12": (wants_client,
                     lambda w, case: {"tls_max": "1.2", **client("client.p12", password="password")(w, case)},
                     ("TLSv1.2", None, "SUCCESS")),
}


def build_keys(world, case, keys):
    keys = keys(world, case) if callable(keys) else keys
    return {"host": world.nginx.url(case), "ca_file": world.ca.path("ca.pem"), **keys}


def play(world):
    """Files for every case, on new connections; then, when all that is wrong has been told, it is made right by whoever
    is to blame."""
    for case, worse in GETS_WORSE.items():
        worse(world, world.keys[case])
    world.nginx.stop()
    world.nginx.start()
    for paths in world.files.values():
        for path in paths:
            path.write_bytes(text(path.name))
    for case in RIGHT:
        for path in world.files[case]:
            world.service.wait_run(path)
    for case in WRONG:
        world.suspended[case] = world.service.wait_event("workspace.suspended", workspace=case)[0]
    world.requests, world.said = list(world.service.api.requests), world.service.err()
    for case, better in GETS_BETTER.items():
        better(world, world.keys[case])
    world.nginx.stop()
    for case in WRONG:
        if case not in GETS_BETTER:
            world.nginx.servers[case] = server()(world)
    world.nginx.plain = ()
    world.nginx.start()


@pytest.fixture(scope="module")
def world():
    folder = make_folder()
    made = World(folder)
    cases = {**WRONG, **RIGHT}
    (folder / "service").mkdir()
    try:
        made.service = Service(folder / "service", watches={case: {"workspace": case} for case in cases},
                               workspaces={})
        upstream = f"127.0.0.1:{made.service.api.port}"
        made.nginx = Nginx(folder / "nginx", upstream, {case: row[0](made) for case, row in cases.items()},
                           plain=("plain",))
        made.keys = {case: build_keys(made, case, row[1]) for case, row in cases.items()}
        made.files = {case: [made.service.folder / case / f"{n}.csv" for n in range(3)] for case in cases}
        made.service.workspaces.update(made.keys)
        made.service.write_configuration()
        made.nginx.start()
        made.service.start()
        play(made)
        yield made
        if made.service.process is not None:
            made.service.stop()
        made.service.check_manners()
    finally:
        if made.service is not None:
            made.service.clean_up()
        if made.nginx is not None:
            made.nginx.stop()
        remove(folder)


def runs_of(case, requests):
    """The paths whose run was asked for through this server."""
    return [json.loads(r.body)["job_parameters"]["path"] for r in requests
            if r.headers.get("x-server") == case and r.path.endswith("/run-now")]


def wait_logged(nginx, name, runs):
    """What nginx's log says of this server, once it is there: nginx writes it after its answer."""
    def logged():
        rows = nginx.log(name)
        return rows if [row[4] for row in rows].count("POST") == runs else None
    return wait_for(logged, lambda: f"{runs} runs in {nginx.log(name)}")


def sentence(world, case, template):
    return template.format(**{**world.keys[case], "host": world.nginx.url(case).removeprefix("https://")})


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_and_nothing_is_sent(world, case):
    said = sentence(world, case, WRONG[case][2])
    assert said in world.suspended[case]["detail"]
    assert said in world.said
    assert runs_of(case, world.requests) == []


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_configured_takes_effect(world, case):
    for path in world.files[case]:
        world.service.wait_run(path)
    protocol, cipher, verified = RIGHT[case][2]
    rows = wait_logged(world.nginx, case, 3)
    for row in rows:
        assert row[0] == (protocol or row[0]) and row[1] == (cipher or row[1]) and row[2] == verified
        assert row[3] == "200"


MENDABLE = [case for case in WRONG if case not in ("no-ca", "tls12-only", "tls13-only")]


@pytest.mark.parametrize("case", MENDABLE)
def test_after_it_was_mended_every_file_is_started_once(world, case):
    for path in world.files[case]:
        world.service.wait_run(path)
    world.service.wait_event("workspace.resumed", workspace=case)
    with world.service.api.lock:
        paths = runs_of(case, world.service.api.requests)
    assert sorted(path.rpartition("/")[2] for path in paths) == ["0.csv", "1.csv", "2.csv"]


def test_nothing_became_a_dead_letter(world):
    assert world.service.events("start.failed") == []


def test_no_password_is_to_be_seen(world):
    for password in (PASSWORD, OTHER_PASSWORD):
        assert password not in world.service.err()
        assert password not in world.service.log.read_text()
        for pid in (world.service.process.pid, world.service.pid("bw-dispatch")):
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    assert password.encode() not in file.read()


# --- what is known without a network ----------------------------------------------------------------------------------

def wrong_files(ca):
    """{keys of the workspace: what `check` says}"""
    jks = ca.path("store.jks")
    jks.write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0")
    jks.chmod(0o600)
    empty = ca.path("empty.pem")
    empty.touch(0o600)
    pair = {"client_certificate": ca.path("client.pem"), "client_key": ca.path("client.encrypted.key")}
    return [
        ({"ca_file": jks},
         f"ca_file = {jks} is a Java keystore (JKS), which is not read here; convert it with: keytool -list -rfc "
         f"-storetype JKS -keystore {jks} >{jks}.pem"),
        ({"client_certificate": jks},
         f"client_certificate = {jks} is a Java keystore (JKS), which is not read here; convert it with: keytool "
         f"-importkeystore -srckeystore {jks} -srcstoretype JKS -destkeystore {jks}.p12 -deststoretype PKCS12"),
        ({"ca_file": empty}, f"ca_file = {empty} is empty"),
        (pair, f"the key in {pair['client_key']} is encrypted: put its password into a file and set "
               "client_key_password_file"),
        ({**pair, "client_key_password_file": ca.path("wrong")},
         f"the password in client_key_password_file does not open the key in {pair['client_key']}"),
        ({"client_certificate": ca.path("client.pem"), "client_key": ca.path("foreign.key")},
         "does not belong to the first certificate"),
        ({"ciphers": "ECDHE-RSA-AES128-GCM-SHA257"}, 'ciphers: OpenSSL knows no cipher called "ECDHE-RSA-AES128-GCM-'),
        ({"tls13_ciphers": "TLS_AES_512"}, 'tls13_ciphers: OpenSSL knows no cipher called "TLS_AES_512"'),
    ]


@pytest.fixture(scope="module")
def files():
    folder = make_folder()
    ca = Certificates(folder / "ca")
    ca.authority("clients")
    ca.sign("client", "clients", use="clientAuth")
    ca.sign("foreign", "clients", use="clientAuth")
    ca.encrypt("client", PASSWORD)
    ca.secret("wrong", "not this one")
    yield ca
    remove(folder)


@pytest.mark.parametrize("number", range(8))
def test_check_says_it_before_the_start_and_the_start_is_refused(service, files, number):
    keys, said = wrong_files(files)[number]
    one = service(workspace={"host": "https://127.0.0.1:1", **keys})
    checked = one.verb("check")
    assert checked.status == 78 and said in checked.err, checked
    one.start(wait=False)
    one.wait_end(78)
    assert said in one.err()


def unusable_files(ca):
    """By name: keys, what check says, and what a start says."""
    pair = {"client_certificate": ca.path("client.pem"), "client_key": ca.path("client.key")}
    encrypted = {**pair, "client_key": ca.path("client.encrypted.key")}
    proxy = {"proxy": "http://127.0.0.1:2", "proxy_username": "me"}
    missing, opened = ca.path("missing"), ca.path("open")
    two = ca.path("two-lines")
    ca.secret("two-lines", "one\ntwo")
    ca.secret("open", "one")
    os.chmod(opened, 0o644)
    return {
        "authorities": ({"ca_file": missing}, f"ca_file = {missing} cannot be read: No such file"),
        "proxy authorities": ({"proxy": "https://127.0.0.1:2", "proxy_ca_file": missing}, "cannot be read: No such"),
        "certificate": ({**pair, "client_certificate": missing}, "client_certificate = "),
        "key": ({**pair, "client_key": missing}, f"cannot read {missing}: No such file"),
        "key open to others": ({**pair, "client_key": opened}, f"{opened} is open to others"),
        "key password": ({**encrypted, "client_key_password_file": missing}, f"cannot read {missing}: No such file"),
        "key password open": ({**encrypted, "client_key_password_file": opened}, f"{opened} is open to others"),
        "proxy password": ({**proxy, "proxy_password_file": missing}, f"cannot read {missing}: No such file"),
        "proxy password open": ({**proxy, "proxy_password_file": opened}, f"{opened} is open to others"),
        "proxy password of two lines": ({**proxy, "proxy_password_file": two}, f"{two} must hold one line"),
    }


@pytest.mark.parametrize("name", ["authorities", "proxy authorities", "certificate", "key", "key open to others",
                                  "key password", "key password open", "proxy password", "proxy password open",
                                  "proxy password of two lines"])
def test_check_says_that_the_service_would_not_start(service, files, name):
    keys, said = unusable_files(files)[name]
    one = service(workspace={"host": "https://127.0.0.1:1", **keys})
    checked = one.verb("check")
    assert checked.status == (78 if name == "key open to others" else 1) and "is good" not in checked.out, checked
    assert "error: [workspace]: " in checked.err and said in checked.err, checked
    assert "the service would not start" in checked.err
    one.start(wait=False)
    one.wait_end(78)
    assert said in one.err()


def test_a_bad_file_at_a_reload_leaves_the_running_configuration(service, files):
    one = service().start()
    one.sections["workspace"]["ca_file"] = wrong_files(files)[0][0]["ca_file"]
    one.write_configuration()
    reloaded = one.verb("reload")
    assert reloaded.status == 78 and "is a Java keystore (JKS)" in reloaded.out + reloaded.err, reloaded
    one.wait_run(one.put("after.csv"))


# --- IPv6 -------------------------------------------------------------------------------------------------------------

def test_an_address_of_ipv6(service, folder):
    ca = Certificates(folder / "ca")
    ca.authority("ca")
    ca.sign("good", "ca")
    one = service(workspace={"ca_file": ca.path("ca.pem")})
    directives = f"ssl_certificate {ca.path('good.pem')}; ssl_certificate_key {ca.path('good.key')};"
    with Nginx(folder / "nginx", f"127.0.0.1:{one.api.port}", {"v6": directives}, host="::1") as nginx:
        nginx.start()
        one.sections["workspace"]["host"] = nginx.url("v6")
        one.write_configuration()
        one.start()
        one.wait_run(one.put("a.csv"))
        wait_logged(nginx, "v6", 1)
        one.stop()
