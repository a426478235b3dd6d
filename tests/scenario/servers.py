"""Real servers for the scenarios: certificates by openssl(1), nginx in front of the stand-in, squid as the proxy.

Each server listens on free ports of 127.0.0.1 (or ::1), has one folder for everything it writes, runs in the
foreground as a child of the test, and is ended by its number.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from harness import ORDINARY, wait_for

START_S = 20


def free_ports(count, host="127.0.0.1"):
    """Numbers of ports nobody listens on; all different."""
    sockets = []
    try:
        for _ in range(count):
            one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port, host="127.0.0.1"):
    """Does somebody take connections there?"""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


# --- certificates -----------------------------------------------------------------------------------------------------

class Certificates:
    """Authorities, and certificates they sign, in a folder. Everything is a path of a PEM file."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)

    def _openssl(self, *words, text=None):
        done = subprocess.run(["openssl", *map(str, words)], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=START_S)
        assert done.returncode == 0, done.stderr.decode()

    def path(self, name):
        return self.folder / name

    def authority(self, name):
        """An authority: NAME.pem and NAME.key."""
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-days", "9", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))
        return self.path(f"{name}.pem")

    def sign(self, name, authority, *, names="IP:127.0.0.1,IP:::1", use="serverAuth", begin=None, end=None, rsa=False):
        """NAME.pem (with the certificate only) and NAME.key, signed by that authority. begin, end: seconds from now."""
        kind = ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        request, key, extensions = self.path(f"{name}.csr"), self.path(f"{name}.key"), self.path(f"{name}.ext")
        self._openssl("req", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        os.chmod(key, 0o644 if use == "serverAuth" else 0o600)  # servers run as somebody else
        extensions.write_text(f"basicConstraints=CA:FALSE\nextendedKeyUsage={use}\n" +
                              (f"subjectAltName={names}\n" if use == "serverAuth" else ""))
        self._sign_between(request, self.path(f"{name}.pem"), authority, extensions,
                           time.time() - 3600 if begin is None else time.time() + begin,
                           time.time() + 86400 if end is None else time.time() + end)
        return self.path(f"{name}.pem")

    def _sign_between(self, request, out, authority, extensions, begin, end):
        """`openssl x509` has no option for the times; `openssl ca` has."""
        place = self.path(f"{out.name}.ca")
        place.mkdir()
        (place / "index").touch()
        (place / "serial").write_text(f"{time.time_ns():032X}\n")
        settings = place / "ca.cnf"
        settings.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={place}/index\nserial={place}/serial\n"
                            f"new_certs_dir={place}\ndefault_md=sha256\npolicy=any\nunique_subject=no\n"
                            "[any]\ncommonName=supplied\n")

        def stamp(seconds):
            return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))
        self._openssl("ca", "-batch", "-notext", "-config", settings, "-cert", self.path(f"{authority}.pem"),
                      "-keyfile", self.path(f"{authority}.key"), "-in", request, "-out", out,
                      "-extfile", extensions, "-startdate", stamp(begin), "-enddate", stamp(end))

    def encrypt(self, name, password):
        """The key of NAME with a password: NAME.encrypted.key."""
        out = self.path(f"{name}.encrypted.key")
        self._openssl("pkcs8", "-topk8", "-in", self.path(f"{name}.key"), "-out", out, "-passout", f"pass:{password}")
        os.chmod(out, 0o600)
        return out

    def pkcs12(self, name, password):
        """Certificate and key of NAME: NAME.p12."""
        out = self.path(f"{name}.p12")
        self._openssl("pkcs12", "-export", "-in", self.path(f"{name}.pem"), "-inkey", self.path(f"{name}.key"),
                      "-out", out, "-passout", f"pass:{password}")
        os.chmod(out, 0o600)
        return out

    def secret(self, name, text):
        """A file with a password."""
        path = self.path(name)
        path.touch(0o600)
        path.write_text(text + "\n")
        return path


def replace(path, source):
    """The file at path gets the content of another one, at once, and keeps a mode that keeps others out."""
    beside = f"{path}.new"
    shutil.copyfile(source, beside)
    os.chmod(beside, 0o600)
    os.rename(beside, path)


# --- a server that runs -----------------------------------------------------------------------------------------------

class Server:
    """A child process. Subclasses say how it is called, and when it is ready."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.process, self.user = None, ORDINARY if os.geteuid() == 0 else 0
        if self.user:
            os.chown(self.folder, self.user, self.user)

    def _start(self, command, ready):
        drop = ["setpriv", "--reuid", str(self.user), "--regid", str(self.user), "--clear-groups", "--"]
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen([*(drop if self.user else []), *command], cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)

        def up():
            assert self.process.poll() is None, f"{command[0]} has ended:\n{self.output()}"
            return ready()
        wait_for(up, lambda: f"{command[0]} is ready:\n{self.output()}", START_S)
        return self

    def output(self):
        return "".join(path.read_text(errors="replace") for path in
                       (self.folder / "output", self.folder / "error.log") if path.exists())

    def stop(self):
        """At once: none of them has anything to lose."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Nginx(Server):
    """TLS in front of the stand-in at `upstream` ("127.0.0.1:PORT"). servers: {name: directives, as one text or a list
    of them}; each has a port of its own: port(name), url(name). plain: those that speak HTTP without TLS. What was
    asked of one: log(name)."""

    def __init__(self, folder, upstream, servers, host="127.0.0.1", plain=()):
        super().__init__(folder)
        self.plain = plain
        self.upstream, self.servers, self.host = upstream, dict(servers), host
        self.ports = dict(zip(servers, free_ports(len(servers), host)))

    def port(self, name):
        return self.ports[name]

    def url(self, name, host=None):
        host = self.host if host is None else host
        return f"https://{f'[{host}]' if ':' in host else host}:{self.ports[name]}"

    def configuration(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = ["daemon off;", "master_process off;", f"pid {self.folder}/pid;", "error_log error.log info;",
                 "events { worker_connections 256; }", "http {",
                 "log_format case '$server_port $ssl_protocol $ssl_cipher $ssl_client_verify $status $request_method';",
                 "access_log access.log case;"]
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            lines.append(f"{kind}_temp_path {self.folder}/tmp-{kind};")
        for name, directives in self.servers.items():
            lines += ["server {", f"listen {host}:{self.ports[name]}{'' if name in self.plain else ' ssl'};",
                      *([directives] if isinstance(directives, str) else directives),
                      f"location / {{ proxy_pass http://{self.upstream}; proxy_set_header X-Server {name}; }}", "}"]
        return "\n".join([*lines, "}"]) + "\n"

    def start(self):
        (self.folder / "nginx.conf").write_text(self.configuration())
        ports = list(self.ports.values())
        return self._start(["nginx", "-p", f"{self.folder}/", "-e", "error.log", "-c", "nginx.conf"],
                           lambda: all(listens(port, self.host) for port in ports))

    def log(self, name):
        """[(protocol, cipher, client verification, status, method)] of the requests that came through this server."""
        path = self.folder / "access.log"
        rows = [line.split(" ") for line in path.read_text().splitlines()] if path.exists() else []
        return [tuple(row[1:]) for row in rows if row[0] == str(self.ports[name])]


class Squid(Server):
    """A proxy that lets CONNECT through to everything on this machine. users: {name: password}, none: no sign-in.
    tls: (certificate, key) of its https_port; it then has both an http and an https port."""

    def __init__(self, folder, users=None, tls=None, rules=()):
        super().__init__(folder)
        self.http_port, self.https_port = free_ports(2)
        self.users, self.tls, self.rules = users, tls, rules

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def tls_url(self):
        return f"https://127.0.0.1:{self.https_port}"

    def _configuration(self):
        lines = [f"http_port 127.0.0.1:{self.http_port}", f"pid_filename {self.folder}/pid",
                 f"cache_log {self.folder}/error.log", f"access_log stdio:{self.folder}/access.log",
                 "logformat case %rm|%ru|%>Hs|%un", f"access_log stdio:{self.folder}/case.log case",
                 f"coredump_dir {self.folder}", "cache deny all", "cache_mem 1 MB", "memory_cache_shared off",
                 "shutdown_lifetime 0 seconds", "visible_hostname localhost", "icp_port 0", "buffered_logs off",
                 "pinger_enable off", "dns_nameservers 127.0.0.1"]
        if self.tls:
            lines.append(f"https_port 127.0.0.1:{self.https_port} tls-cert={self.tls[0]} tls-key={self.tls[1]}")
        lines += self.rules
        if self.users is not None:
            lines += [f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {self.folder}/users",
                      "auth_param basic children 1 startup=1 idle=1", "auth_param basic credentialsttl 1 second",
                      "acl known proxy_auth REQUIRED", "http_access allow known"]
        return "\n".join([*lines, f"http_access {'deny' if self.users is not None else 'allow'} all"]) + "\n"

    def _write_users(self):
        lines = []
        for name, password in self.users.items():
            done = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=password.encode(),
                                  stdout=subprocess.PIPE, check=True, timeout=START_S)
            lines.append(f"{name}:{done.stdout.decode().strip()}\n")
        (self.folder / "users").write_text("".join(lines))

    def start(self):
        if self.users is not None:
            self._write_users()
        (self.folder / "squid.conf").write_text(self._configuration())
        ports = [self.http_port, *([self.https_port] if self.tls else [])]
        return self._start(["squid", "-N", "-n", f"bw{self.http_port}", "-f", f"{self.folder}/squid.conf"],
                           lambda: all(listens(port) for port in ports))

    def log(self):
        """[(method, target, status, user)] of what it was asked; a tunnel is told when it ends."""
        path = self.folder / "case.log"
        rows = [line.split("|", 3) for line in path.read_text().splitlines()] if path.exists() else []
        return [tuple(row) for row in rows if not row[1].startswith("error:")]


class Listener:
    """Takes connections and only counts them: where nobody must come."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def connections(self):
        """How many have come since the last time."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.accept()[0].close()
                count += 1
        return count

    def close(self):
        self.socket.close()
