"""Mail servers. Exim is a real one (STARTTLS, password, Maildir), run by an ordinary user with a configuration and a
spool of its own; Rogue follows a script, for what no real one does on demand."""

import email
import email.policy
import os
import re
import shutil
import socket
import threading

from servers import Server, free_ports, listens

USER, PASSWORD = "bw", "correct horse=battery é"

CONFIGURATION = r"""
primary_hostname = mail.example.com
exim_user = {uid}
exim_group = {uid}
never_users =
deliver_drop_privilege = true
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
log_selector = +tls_cipher +smtp_confirmation
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {ports}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = {advertise}
tls_certificate = {certificate}
tls_privatekey = {key}
message_size_limit = {size}
qualify_domain = example.com
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
mail:
  deny    message = sign in first
          condition = {must_sign_in}
          !authenticated = *
  accept
rcpt:
  deny    message = no such user here
          local_parts = nobody
  defer   message = try again later
          condition = ${{if exists{{{folder}/defer}}}}
          local_parts = slow
  accept
data:
  deny    message = we do not like that
          condition = ${{if match{{$message_body}}{{refuse this}}}}
  accept

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
  batch_max = 10

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


class Mail:
    """One that has arrived, decoded as a reader of mail does it."""

    def __init__(self, raw):
        self.raw = raw
        self.message = email.message_from_bytes(raw, policy=email.policy.default)
        self.id = self.message["Message-ID"]
        self.subject = str(self.message["Subject"])
        self.text = self.message.get_content()
        self.to = re.findall(r"[\w.+-]+@[\w.-]+", str(self.message["Envelope-to"]))


class Exim(Server):
    """certificate, key: with them STARTTLS is offered, and signing in behind it. must_sign_in: nobody else is let
    in."""

    def __init__(self, folder, certificate=None, key=None, must_sign_in=False, size="1M"):
        super().__init__(folder)
        self.certificate, self.key = certificate, key
        self.must_sign_in, self.size = must_sign_in, size
        self.port, self.tls_port = free_ports(2)
        for name in ("spool", "log", "mail"):
            path = self.folder / name
            path.mkdir()
            if self.user:
                os.chown(path, self.user, self.user)
        self.program = self.folder / "exim"
        shutil.copy(shutil.which("exim4", path="/usr/sbin:/usr/bin"), self.program)  # a copy is not set-user-id

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"smtps://127.0.0.1:{self.tls_port}"

    def start(self):
        (self.folder / "exim.conf").write_text(CONFIGURATION.format(
            folder=self.folder, uid=self.user or os.geteuid(), ports=f"{self.port} : {self.tls_port}",
            tls_port=self.tls_port, advertise="*" if self.certificate else "", certificate=self.certificate or "",
            key=self.key or "", must_sign_in="true" if self.must_sign_in else "false", size=self.size, user=USER,
            password=PASSWORD))
        return self._start([self.program, "-C", self.folder / "exim.conf", "-bdf"],
                           lambda: listens(self.port) and listens(self.tls_port))

    def log(self):
        path = self.folder / "log" / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def output(self):
        panic = self.folder / "log" / "paniclog"
        return super().output() + self.log() + (panic.read_text() if panic.exists() else "")

    def accepted(self):
        """Message-IDs in the order in which they were taken, doubles included."""
        return [f"<{found}>" for found in re.findall(r" <= .* id=(\S+)", self.log())]

    def mails(self):
        """What lies in the box, by Message-ID (of doubles one)."""
        found = (Mail(path.read_bytes()) for path in (self.folder / "mail" / "new").glob("*"))
        return {mail.id: mail for mail in found}


class Rogue:
    """Follows a script for each line that it is told: script(line, connection) is what it answers (bytes or text; None:
    it closes; "hang": it says nothing more). It is asked with None for the greeting; in a mail only its end counts."""

    def __init__(self, script):
        self.script, self.mails, self.connections = script, [], 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"smtp://127.0.0.1:{self.socket.getsockname()[1]}"
        self.released = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._serve(connection)

    def _serve(self, connection):
        number, lines = self.connections, connection.makefile("rb")
        answer = self.script(None, number)
        while answer is not None:
            if answer == "hang":
                self.released.wait()
                return
            try:
                connection.sendall(answer if isinstance(answer, bytes) else f"{answer}\r\n".encode())
                line = self._mail(lines) if str(answer).startswith("354") else lines.readline()
            except OSError:
                return
            if not line:
                return
            answer = self.script(line.decode(errors="replace").strip(), number)

    def _mail(self, lines):
        mail = b""
        for line in lines:
            if line == b".\r\n":
                self.mails.append(Mail(mail))
                return b"."
            mail += line[1:] if line.startswith(b".") else line
        return b""

    def stop(self):
        self.released.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def polite(line, _number=0):
    """What a server says that takes everything."""
    word = (line or "").split(" ")[0].split(":")[0].upper()
    return {"": "220 here", "DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 fine")
