"""What real tools leave behind in a drop folder: one run for the final name, none for the names in between."""

import contextlib
import functools
import gzip
import http.server
import os
import pwd
import shutil
import socketserver
import subprocess
import threading
import zipfile

import pytest

import harness
from harness import put, text
from rows import Book

# A listing every second: what tools do to a file after they have closed it must not look like a new version then.
SETTINGS = {
    "settle=0": {"settle": "0", "rescan": "1s"},
    "settle": {"settle": "500ms", "rescan": "1s"},
}
BOOK = Book(SETTINGS)
SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
NEEDS = {}


def tool(*programs, settings=()):
    """Registers a row that needs these programs."""
    def register(function):
        NEEDS[function.__name__] = programs
        return BOOK.row(*settings)(function)
    return register


def missing(name):
    wanted = {p: shutil.which(p) for p in NEEDS[name]}
    if "sftp" in wanted:
        wanted["sftp-server"] = sftp_server()
        with contextlib.suppress(KeyError):
            wanted["a name for our uid"] = pwd.getpwuid(os.geteuid())
        wanted.setdefault("a name for our uid")
    return [p for p, found in wanted.items() if not found]


def sftp_server():
    return next((p for p in SFTP_SERVERS if os.path.exists(p)), None)


def run(*command, folder=None, stdin=None):
    done = subprocess.run([os.fspath(c) for c in command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          input=stdin, timeout=harness.TIMEOUT, check=False)
    assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout.decode(errors='replace')}"


def shell(script, *arguments):
    run("sh", "-c", script, "sh", *arguments)


def age(path):
    """An old time, as a file has that is copied with its times."""
    os.utime(path, ns=(10**18, 10**18))
    return path


# --- copies -----------------------------------------------------------------------------------------------------------

@tool("cp")
def cp(r):
    run("cp", r.put_away("a.csv", text("a", 1000)), r.dir)
    r.ran("a.csv")
    return {"a.csv": [text("a", 1000)]}


@tool("cp")
def cp_with_times(r):
    run("cp", "-p", age(r.put_away("a.csv", text("a", 1000))), r.dir)
    r.ran("a.csv")
    return {"a.csv": [text("a", 1000)]}


@tool("cp")
def cp_sparse(r):
    content = text("a") + bytes(1 << 20) + b"7,end\n"
    run("cp", "--sparse=always", r.put_away("a.csv", content), r.dir)
    r.ran("a.csv")
    return {"a.csv": [content]}


@tool("cp")
def cp_of_a_tree(r):
    expected = {}
    for n in range(10):
        os.makedirs(r.away(f"tree/{n}/x"))
        for name in (f"tree/{n}/a.csv", f"tree/{n}/x/b.csv"):
            r.put_away(name, text(name))
            expected[name] = [text(name)]
    run("cp", "-a", r.away("tree"), r.dir)
    for name in expected:
        r.ran(name)
    return expected


@tool("cp")
def cp_over_a_started_file(r):
    put(r.at("a.csv"), text("one"))
    r.ran("a.csv")
    run("cp", r.put_away("a.csv", text("two")), r.dir)
    r.ran("a.csv", 2)
    return {"a.csv": [text("one"), text("two")]}


@functools.cache
def other_file_system(folder):
    """A place on another file system than this one."""
    for place in ("/dev/shm", "/tmp", "/var/tmp", "/run"):
        if os.access(place, os.W_OK) and os.stat(place).st_dev != os.stat(folder).st_dev:
            return place
    return None


@tool("mv")
def mv_across_file_systems(r):
    place = other_file_system(str(r.outside)) or str(r.outside)
    source = os.path.join(place, f"{r.service.folder.name}-{r.service.started}-{os.getpid()}.csv")
    put(source, text("a", 5000))
    run("mv", age(source), r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


@tool("mv")
def mv(r):
    run("mv", age(r.put_away("a.csv", text("a"))), r.dir)
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@tool("ln")
def ln(r):
    run("ln", r.put_away("a.csv", text("a")), r.dir)
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@tool("install")
def install(r):
    run("install", "-p", "-m", "600", age(r.put_away("a.csv", text("a", 1000))), r.dir)
    r.ran("a.csv")
    return {"a.csv": [text("a", 1000)]}


@tool("dd")
def dd(r):
    run("dd", f"if={r.put_away('a.csv', text('a', 1000))}", f"of={r.at('a.csv')}", "bs=512", "conv=fsync")
    r.ran("a.csv")
    return {"a.csv": [text("a", 1000)]}


@tool("tee")
def tee(r):
    run("tee", r.at("a.csv"), r.at("b.csv"), stdin=text("a"))
    r.ran("a.csv")
    r.ran("b.csv")
    return {"a.csv": [text("a")], "b.csv": [text("a")]}


# --- archives ---------------------------------------------------------------------------------------------------------

@tool("tar")
def tar(r):
    expected = {}
    os.makedirs(r.away("tree/x"))
    for n in range(20):
        name = f"tree/x/{n}.csv"
        age(r.put_away(name, text(name, 100)))
        expected[name] = [text(name, 100)]
    run("tar", "cf", r.away("a.tar"), "-C", r.outside, "tree")
    run("tar", "xf", r.away("a.tar"), "-C", r.dir)
    for name in expected:
        r.ran(name)
    return expected


@tool("unzip")
def unzip(r):
    """It sets the time after it has closed the file."""
    expected = {}
    with zipfile.ZipFile(r.away("a.zip"), "w") as archive:
        for n in range(20):
            archive.writestr(zipfile.ZipInfo(f"x/{n}.csv", (2001, 2, 3, 4, 5, 6)), text(f"{n}", 100))
            expected[f"x/{n}.csv"] = [text(f"{n}", 100)]
    run("unzip", "-q", r.away("a.zip"), "-d", r.dir)
    for name in expected:
        r.ran(name)
    return expected


@tool("gzip")
def gzip_in_place(r):
    """The source goes, NAME.gz comes."""
    put(r.at("a.csv"), text("a", 1000))
    r.ran("a.csv")
    run("gzip", "-n", "-6", r.at("a.csv"))
    seen = r.ran("a.csv.gz")[0]
    assert gzip.decompress(seen.content) == text("a", 1000)
    return {"a.csv": [text("a", 1000)], "a.csv.gz": [seen.content]}


@tool("gzip")
def gunzip_in_place(r):
    put(r.at("a.csv.gz"), gzip.compress(text("a", 1000), mtime=0))
    r.ran("a.csv.gz")
    run("gzip", "-d", r.at("a.csv.gz"))
    r.ran("a.csv")
    return {"a.csv.gz": [gzip.compress(text("a", 1000), mtime=0)], "a.csv": [text("a", 1000)]}


# --- rsync ------------------------------------------------------------------------------------------------------------

def rsync_with(*options):
    def upload(r, content):
        run("rsync", *options, age_by(r.put_away("a.csv", content), content), f"{r.dir}/")
    return upload


def age_by(path, content):
    """Another old time for each content, so that rsync sees a difference."""
    os.utime(path, ns=(10**18 + len(content) * 10**9,) * 2)
    return path


def rsync_row(name, *options):
    def row(r):
        upload = rsync_with(*(o.format(outside=r.outside) for o in options))
        upload(r, text("one", 2000))
        r.ran("a.csv")
        upload(r, text("one", 2000))  # unchanged
        upload(r, text("second", 2500))
        r.ran("a.csv", 2)
        return {"a.csv": [text("one", 2000), text("second", 2500)]}
    row.__name__ = name
    tool("rsync")(row)


rsync_row("rsync", "-a")
rsync_row("rsync_in_place", "-a", "--inplace")
rsync_row("rsync_delayed_updates", "-a", "--delay-updates")
rsync_row("rsync_partial_folder", "-a", "--partial-dir=.rsync-partial")
rsync_row("rsync_temporary_folder", "-a", "--temp-dir={outside}")
rsync_row("rsync_preallocated", "-a", "--preallocate")
rsync_row("rsync_without_times", "-r", "--size-only")


@tool("rsync")
def rsync_of_a_tree(r):
    expected = {}
    os.makedirs(r.away("tree/x/y"))
    for n in range(20):
        name = f"tree/x/y/{n}.csv"
        age(r.put_away(name, text(name)))
        expected[name] = [text(name)]
    run("rsync", "-a", r.away("tree"), r.dir)
    for name in expected:
        r.ran(name)
    return expected


# --- SFTP -------------------------------------------------------------------------------------------------------------

def sftp(r, *commands):
    """OpenSSH's client, with its own server at the other end of a pipe."""
    put(r.away("batch"), "".join(c + "\n" for c in commands).encode())
    run("sftp", "-q", "-b", r.away("batch"), "-D", sftp_server())


@tool("sftp")
def sftp_put(r):
    sftp(r, f"put {r.put_away('a.csv', text('a', 5000))} {r.at('a.csv')}")
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


@tool("sftp")
def sftp_put_with_times(r):
    sftp(r, f"put -p {age(r.put_away('a.csv', text('a', 5000)))} {r.at('a.csv')}")
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


@tool("sftp")
def sftp_put_and_plain_rename(r):
    """As WinSCP, JSch and paramiko do: the server makes a link and removes the old name."""
    source = r.put_away("a.csv", text("a", 5000))
    commands = []
    for n in range(10):
        commands += [f"put {source} {r.at(f'{n}.csv.filepart')}",
                     f"rename -l {r.at(f'{n}.csv.filepart')} {r.at(f'{n}.csv')}"]
    sftp(r, *commands)
    for n in range(10):
        r.ran(f"{n}.csv")
    return {f"{n}.csv": [text("a", 5000)] for n in range(10)}


@tool("sftp")
def sftp_put_and_plain_rename_into_another_folder(r):
    (r.outside / "incoming").mkdir()
    sftp(r, f"put {r.put_away('a.csv', text('a', 5000))} {r.away('incoming/a.csv')}",
         f"rename -l {r.away('incoming/a.csv')} {r.at('a.csv')}")
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


@tool("sftp")
def sftp_put_and_posix_rename(r):
    sftp(r, f"put {r.put_away('a.csv', text('a', 5000))} {r.at('a.csv.filepart')}",
         f"rename {r.at('a.csv.filepart')} {r.at('a.csv')}")
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


@tool("sftp")
def sftp_second_version(r):
    for n in range(2):
        sftp(r, f"put {r.put_away('a.csv', text('a', 100 + n))} {r.at('a.csv.filepart')}",
             f"rename {r.at('a.csv.filepart')} {r.at('a.csv')}")
        r.ran("a.csv", n + 1)
    return {"a.csv": [text("a", 100), text("a", 101)]}


# --- downloads --------------------------------------------------------------------------------------------------------

@tool("lftp")
def lftp_temporary_file(r):
    run("lftp", "-c", f"set xfer:use-temp-file yes; lcd {r.dir}; "
        f"get file://{r.put_away('a.csv', text('a', 5000))} -o a.csv", folder=r.outside)
    r.ran("a.csv")
    return {"a.csv": [text("a", 5000)]}


class SlowServer:
    """Serves one content over HTTP; the last bytes only when go is set."""

    def __init__(self, content):
        slow = self
        self.content, self.go, self.half = content, threading.Event(), threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(slow.content)))
                self.end_headers()
                middle = len(slow.content) // 2
                self.wfile.write(slow.content[:middle])
                self.wfile.flush()
                slow.half.set()
                slow.go.wait(harness.TIMEOUT)
                self.wfile.write(slow.content[middle:])

            def log_message(self, *arguments):
                pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/a.csv"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


def download(r, *command):
    """The command gets the URL behind it; nothing may be started before the last byte has come."""
    content = text("a", 100000)
    with SlowServer(content) as server:
        process = subprocess.Popen([*command, server.url], cwd=r.dir, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env={"PATH": os.environ["PATH"], "HOME": str(r.outside), "no_proxy": "127.0.0.1"})
        assert server.half.wait(harness.TIMEOUT)
        r.not_yet("a.csv")
        server.go.set()
        assert process.wait(harness.TIMEOUT) == 0
    r.ran("a.csv")
    return {"a.csv": [content]}


@tool("aria2c", settings=["settle"])
def aria2(r):
    """The final name from the start, at its full size, NAME.aria2 beside it. The name is closed once before the
    companion is there: not for settle = 0."""
    return download(r, "aria2c", "-q", "--no-conf", "--file-allocation=prealloc", "-s1")


@tool("wget")
def wget(r):
    return download(r, "wget", "-q")


@tool("curl")
def curl(r):
    return download(r, "curl", "-sS", "-o", r.at("a.csv"))


# --- editors and shells -----------------------------------------------------------------------------------------------

@tool("sed")
def sed_in_place(r):
    put(r.at("a.csv"), text("one", 100))
    r.ran("a.csv")
    run("sed", "-i", "s/one/second/", r.at("a.csv"))
    r.ran("a.csv", 2)
    return {"a.csv": [text("one", 100), text("second", 100)]}


@tool("sh")
def shell_redirection(r):
    shell('{ echo id; echo 1; echo 2; } >"$1"', r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [b"id\n1\n2\n"]}


@tool("sh")
def shell_redirection_of_a_loop(r):
    shell('for n in 1 2 3 4 5; do echo $n; done >>"$1"', r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [b"1\n2\n3\n4\n5\n"]}


@tool("sh", settings=["settle"])
def shell_loop_of_redirections(r):
    """One close for each turn."""
    shell('for n in 1 2 3 4 5; do echo $n >>"$1"; done', r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [b"1\n2\n3\n4\n5\n"]}


@tool("sort")
def sort_onto_itself(r):
    put(r.at("a.csv"), b"3\n1\n2\n")
    r.ran("a.csv")
    run("sort", "-o", r.at("a.csv"), r.at("a.csv"))
    r.ran("a.csv", 2)
    return {"a.csv": [b"3\n1\n2\n", b"1\n2\n3\n"]}


@tool("split")
def split(r):
    run("split", "-l", "100", "--additional-suffix=.csv", r.put_away("a", b"".join(b"%d\n" % n for n in range(1000))),
        r.at("x"))
    expected = {}
    for n in range(10):
        name = f"xa{'abcdefghij'[n]}.csv"
        r.ran(name)
        expected[name] = [b"".join(b"%d\n" % i for i in range(100 * n, 100 * n + 100))]
    return expected


# --- the tests --------------------------------------------------------------------------------------------------------

# Rows whose tool is not here are left out of the play.
BOOK.missing = {n: gone for n in list(BOOK.rows) if (gone := missing(n))}
CASES = BOOK.cases
for absent in BOOK.missing:
    del BOOK.rows[absent]


@pytest.mark.parametrize("setting, name", CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_tool(module_service, setting, name):
    if name in BOOK.missing:
        pytest.skip(f"not here: {', '.join(BOOK.missing[name])}")
    BOOK.play(setting, module_service).check(name)


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_tools_together(module_service, setting):
    BOOK.play(setting, module_service).check_together()
