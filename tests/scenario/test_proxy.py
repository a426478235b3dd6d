"""Through a real squid to a real nginx in front of the stand-in: password right, wrong and missing, no_proxy, a proxy
that is down, one that does not let through, one that is spoken to by TLS. What is wrong is said in a sentence, nothing
is sent, and after it was mended every file has its run, once. Proxies of the environment see nobody.

All cases run in one service, each a workspace and a watch of its own, at the same time.
"""

import base64

import pytest

from harness import Service, make_folder, remove, text, wait_for
from servers import Certificates, Listener, Nginx, Squid, free_ports, replace

USER, PASSWORD = "gate keeper", "pass:w\u00f6rd"
# Of two passwords for one user that come at the same time squid judges one, for both.
STRANGER, LATE = "stranger", "late comer"


class World:
    def __init__(self, folder):
        self.folder = folder
        self.ca = Certificates(folder / "ca")
        self.ca.authority("ca")
        self.ca.authority("gates")
        self.ca.sign("server", "ca")
        self.ca.sign("gate", "gates")
        self.ca.secret("password", PASSWORD)
        self.ca.secret("wrong", "open sesame")
        self.ca.secret("wrong-to-mend", "open sesame")
        self.service = self.nginx = self.squid = self.late = self.environment = None
        self.suspended, self.requests, self.said = {}, [], ""
        (self.dead_port,) = free_ports(1)

    def signed_in(self, password="password", user=USER, **more):
        return {"proxy": self.squid.url, "proxy_username": user, "proxy_password_file": self.ca.path(password), **more}


# {case: keys of the workspace}
RIGHT = {
    "password": lambda w: w.signed_in(),
    "tls": lambda w: w.signed_in(proxy=w.squid.tls_url, proxy_ca_file=w.ca.path("gates.pem")),
    "no-proxy": lambda w: {"proxy": w.late.url, "no_proxy": "10.0.0.0/8, 127.0.0.0/8, ::1"},
    "no-proxy-for-others": lambda w: w.signed_in(no_proxy="10.0.0.0/8, .example.com, localhost"),
    "none": lambda w: {},
}

# {case: (keys of the workspace, what is said)}
WRONG = {
    "wrong-password": (lambda w: w.signed_in("wrong", STRANGER),
                       "the proxy {squid} does not take the password of {stranger}: see proxy_username and "
                       "proxy_password_file"),
    "wrong-to-mend": (lambda w: w.signed_in("wrong-to-mend", LATE),
                      "the proxy {squid} does not take the password of {late_comer}: see proxy_username and "
                      "proxy_password_file"),
    "no-password": (lambda w: {"proxy": w.squid.url},
                    "the proxy {squid} wants a user name and password: set proxy_username and proxy_password_file"),
    "down": (lambda w: {"proxy": w.late.url}, "the proxy {late} cannot be reached"),
    "forbidden": (lambda w: w.signed_in(),
                  "the proxy {squid} does not let us through to {host} (HTTP 403): it has to be allowed there"),
    "nobody-there": (lambda w: w.signed_in(host=f"https://127.0.0.1:{w.dead_port}"),
                     "the proxy {squid} cannot reach {host} (HTTP 503)"),
    "unknown-ca": (lambda w: w.signed_in(proxy=w.squid.tls_url),
                   "the certificate of the proxy {tls_squid} is signed by nobody we know: if it is the right server, "
                   "put the certificate of its authority into a file and set proxy_ca_file"),
    "wrong-ca": (lambda w: w.signed_in(proxy=w.squid.tls_url, proxy_ca_file=w.ca.path("ca.pem")),
                 "the certificate of the proxy {tls_squid} is signed by nobody in proxy_ca_file = {proxy_ca_file}"),
    "no-tls": (lambda w: {"proxy": w.squid.url.replace("http://", "https://")},
               "the proxy {no_tls} does not speak TLS at this port: is proxy right?"),
    "server-ca": (lambda w: w.signed_in(ca_file=w.ca.path("gates.pem")),
                  "the certificate of {host} is signed by nobody in ca_file = {ca_file}"),
}


def mend(world):
    replace(world.ca.path("wrong-to-mend"), world.ca.path("password"))
    world.late.start()


MENDED = ("wrong-to-mend", "down")


def play(world):
    """Files for every case; then, when all that is wrong has been told, some of it is mended."""
    for paths in world.files.values():
        for path in paths:
            path.write_bytes(text(path.name))
    for case in RIGHT:
        for path in world.files[case]:
            world.service.wait_run(path)
    for case in WRONG:
        world.suspended[case] = world.service.wait_event("workspace.suspended", workspace=case)[0]
    world.requests, world.said = list(world.service.api.requests), world.service.err()
    mend(world)


def build(world):
    cases = [*RIGHT, *WRONG]
    world.environment = Listener()
    elsewhere = f"http://127.0.0.1:{world.environment.port}"
    environment = {name: elsewhere for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
    world.service = Service(world.folder / "service", watches={case: {"workspace": case} for case in cases},
                            workspaces={}, environment={**environment, "no_proxy": "*", "NO_PROXY": "*"})
    certificate = f"ssl_certificate {world.ca.path('server.pem')}; ssl_certificate_key {world.ca.path('server.key')};"
    world.nginx = Nginx(world.folder / "nginx", f"127.0.0.1:{world.service.api.port}",
                        {case: certificate for case in cases})
    gate = (world.ca.path("gate.pem"), world.ca.path("gate.key"))
    world.squid = Squid(world.folder / "squid", dict.fromkeys((USER, STRANGER, LATE), PASSWORD), gate,
                        [f"acl forbidden port {world.nginx.port('forbidden')}", "http_access deny forbidden"])
    world.late = Squid(world.folder / "late")
    world.keys = {case: {"host": world.nginx.url(case), "ca_file": world.ca.path("ca.pem"), **keys(world)}
                  for case, keys in {**RIGHT, **{case: row[0] for case, row in WRONG.items()}}.items()}
    world.files = {case: [world.service.folder / case / f"{n}.csv" for n in range(3)] for case in cases}
    world.service.workspaces.update(world.keys)
    world.service.write_configuration()


@pytest.fixture(scope="module")
def world():
    folder = make_folder()
    made = World(folder)
    (folder / "service").mkdir()
    try:
        build(made)
        made.nginx.start()
        made.squid.start()
        made.service.start()
        play(made)
        yield made
        if made.service.process is not None:
            made.service.stop()
        made.service.check_manners()
    finally:
        if made.service is not None:
            made.service.clean_up()
        for server in (made.nginx, made.squid, made.late):
            if server is not None:
                server.stop()
        if made.environment is not None:
            made.environment.close()
        remove(folder)


def address(world, case):
    return world.keys[case]["host"].removeprefix("https://")


def runs_of(case, requests):
    """The requests for a run that came through this server."""
    return [r for r in requests if r.headers.get("x-server") == case and r.path.endswith("/run-now")]


def asked(world, squid, case):
    """{(user, status)} of what a proxy was asked for this case."""
    return {(user, status) for method, target, status, user in squid.log()
            if target == address(world, case) and method == "CONNECT"}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_and_nothing_is_sent(world, case):
    said = WRONG[case][1].format(squid=world.squid.url, tls_squid=world.squid.tls_url, late=world.late.url,
                                 stranger=STRANGER, late_comer=LATE,
                                 no_tls=world.squid.url.replace("http://", "https://"),
                                 **{**world.keys[case], "host": address(world, case)})
    reason = "proxy_refused" if "proxy_username" in said else "unreachable"
    assert world.suspended[case]["detail"].startswith(f"{reason}: ") and said in world.suspended[case]["detail"]
    assert "host right" not in world.suspended[case]["detail"]
    assert said in world.said
    assert runs_of(case, world.requests) == []


@pytest.mark.parametrize("case", MENDED)
def test_after_it_was_mended_every_file_is_started_once(world, case):
    for path in world.files[case]:
        world.service.wait_run(path)
    world.service.wait_event("workspace.resumed", workspace=case)
    with world.service.api.lock:
        assert len(runs_of(case, world.service.api.requests)) == 3


def test_proxies_of_the_environment_see_nobody(world):
    assert world.environment.connections() == 0


def test_nothing_became_a_dead_letter(world):
    assert world.service.events("start.failed") == []


def test_who_sees_what(world):
    """The proxy sees no token, the stand-in no password, and nobody else either of them."""
    line = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for request in world.service.api.requests:
        assert b"\r\nproxy-" not in request.head.lower() and line.encode() not in request.head
    assert world.service.api.token not in world.squid.output()
    everything = world.service.err() + world.service.log.read_text()
    for secret in (PASSWORD, line):
        assert secret not in everything
        for pid in (world.service.process.pid, world.service.pid("bw-dispatch")):
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    assert secret.encode() not in file.read()


@pytest.fixture(scope="module")
def ended(world):
    """The service has ended, and its tunnels with it."""
    world.service.stop()
    return world


@pytest.mark.parametrize("case", ["password", "tls", "no-proxy-for-others"])
def test_the_way_is_through_the_proxy(ended, case):
    wait_for(lambda: asked(ended, ended.squid, case), f"what squid says about {case}")
    assert asked(ended, ended.squid, case) == {(USER, "200")}


@pytest.mark.parametrize("case", ["no-proxy", "none"])
def test_the_way_is_not_through_a_proxy(ended, case):
    assert asked(ended, ended.squid, case) == set() and asked(ended, ended.late, case) == set()
