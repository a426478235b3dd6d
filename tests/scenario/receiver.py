"""A receiver of webhooks, which notes all that it gets, and fails in the way that it is told to.

It answers 204 unless told otherwise. What it is to do is one of
    200, 404, 500 …          that status, without a body
    (429, headers, body)     the same with them
    "close"                  the connection is closed in the middle of the answer
    "reset"                  it is closed as soon as the request is there
    "garbage"                an answer that is none
    "hang"                   no answer until release()
"""

import collections
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import struct
import threading
import time


class Got:
    """One POST."""

    def __init__(self, path, headers, body, answer):
        self.path, self.headers, self.body, self.answer = path, headers, body, answer
        self.at = time.monotonic()

    @property
    def event(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers["X-Brickwatch-Id"]

    def is_signed_with(self, key):
        mac = hmac.new(key.encode(), self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(self.headers["X-Brickwatch-Signature"], f"sha256={mac}")

    def __repr__(self):
        return f"{self.headers.get('X-Brickwatch-Event')} {self.headers.get('X-Brickwatch-Id')} -> {self.answer}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = receiver.note(self.path, self.headers, body)
        if answer == "hang":
            receiver.released.wait(60)
            answer = "reset"
        if answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if answer == "close":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
        if answer == "garbage":
            self.wfile.write(b"\x00\xff no HTTP at all \r\n\r\n")
        if isinstance(answer, str):
            self.close_connection = True
            return
        status, headers, said = answer if isinstance(answer, tuple) else (answer, {}, b"")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away is what some tests are about."""


class Receiver:
    """`answers` are for the next requests, `answer` is for all after them. Each may be a function of the Got."""

    def __init__(self, answer=204, tls=None):
        self.answer, self.answers, self.got = answer, collections.deque(), []
        self.lock, self.released = threading.Lock(), threading.Event()
        self.tls = tls
        self.port, self.server = 0, None
        self.start()

    def start(self):
        self.server = Quiet(("127.0.0.1", self.port), Handler)
        self.server.receiver = self
        self.port = self.server.server_port
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """Nobody listens on its port any more."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    def note(self, path, headers, body):
        with self.lock:
            got = Got(path, headers, body, None)
            answer = self.answers.popleft() if self.answers else self.answer
            got.answer = answer(got) if callable(answer) else answer
            self.got.append(got)
            return got.answer

    def release(self):
        self.released.set()

    def url(self, path="/hook"):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def all(self, kind=None):
        with self.lock:
            return [g for g in self.got if kind is None or g.headers["X-Brickwatch-Event"] == kind]

    def taken(self, kind=None):
        """Those that it has said it has, without what it was told once more."""
        found = {}
        for got in self.all(kind):
            if isinstance(got.answer, int) and 200 <= got.answer < 300:
                found.setdefault(got.id, got)
        return list(found.values())

    def ids(self, kind=None):
        return [g.id for g in self.taken(kind)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        self.stop()
