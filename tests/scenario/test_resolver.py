"""A name server that never answers: it stops neither the other workspaces nor the end of the service."""

import os
import socket
import subprocess

import pytest

from harness import TIMEOUT, text

KILLED_S = 10  # after which the keeper kills the dispatcher; requests are given up after 5 s


class Silent:
    """prefix: words in front of the program that give it this name server, in a mount namespace of its own."""

    def __init__(self, prefix, server):
        self.prefix, self.server = prefix, server

    def wait_asked(self):
        """Until there is a question, which then never has an answer."""
        self.server.recv(512)


@pytest.fixture
def silent(folder):
    files = {"resolv.conf": "nameserver {}\noptions timeout:30 attempts:5\n", "nsswitch.conf": "hosts: files dns\n"}
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs root, and a kernel that lets it unshare mounts")
    address = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    for name, lines in files.items():
        (folder / name).write_text(lines.format(address))
    server.settimeout(TIMEOUT)
    mounts = " && ".join(f"mount --bind {folder / name} /etc/{name}" for name in files)
    yield Silent(["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"], server)
    server.close()


def test_a_silent_name_server_stops_nobody(service, silent):
    one = service(prefix=silent.prefix, watches={"drop": {"workspace": "good"}, "lost": {"workspace": "silent"}},
                  workspaces={"good": {}, "silent": {"host": "https://silent.example", "connect_timeout": "2s"}})
    one.start()
    (one.folder / "lost" / "lost.csv").write_bytes(text("lost"))
    silent.wait_asked()
    for n in range(5):
        one.wait_run(one.put(f"{n}.csv"))
    told = one.wait_event("workspace.suspended", workspace="silent")[0]
    assert "the name servers do not answer in time for silent.example" in told["detail"]
    one.wait_run(one.put("after.csv"))
    one.stop(timeout=KILLED_S - 1)
    assert one.events("start.failed") == []


def test_the_end_does_not_wait_for_a_name(service, silent):
    """SIGTERM comes while the first look-up is out."""
    one = service(prefix=silent.prefix, watches={"drop": {}}, workspace={"host": "https://silent.example"})
    one.start()
    (one.drop / "lost.csv").write_bytes(text("lost"))
    silent.wait_asked()
    one.stop(timeout=KILLED_S - 1)
    assert one.events("service.stopped") != []
