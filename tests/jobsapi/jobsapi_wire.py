"""HTTP/1.1 on one connection: requests in, answers out, and the ways an answer can go wrong.

Written for speed and for exactness instead of http.server: a request keeps its bytes as they came, an answer leaves
in one send, and a connection can be cut at any byte.
"""

import json
import re
import socket
import struct
import time
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs

from jobsapi_rules import MAX_BODY_BYTES

MAX_HEAD_BYTES = 65536
_BLANK = b"\r\n\r\n"
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")


class BadRequest(Exception):
    """A request HTTP itself forbids.  It gets status and text, then the connection closes."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Request:
    """One request as it came, and what became of it.

    number       1 for the first request since start
    time         wall clock seconds at which its last byte had come
    connection   number of the TCP connection, so that reuse can be seen
    headers      lower-case name -> value; head and body are the exact bytes
    status       status answered; None while open and when no answer was sent
    error_code   as in the answer
    fault        kind of the fault applied to it, or None
    run, fresh   the run a run-now answered with, and whether this request created it
    principal    who asked, as the credential says
    findings     sentences about the request that a careful client would avoid
    """
    __slots__ = ("number", "time", "connection", "method", "target", "path", "headers", "head", "body", "status",
                 "error_code", "fault", "run", "fresh", "principal", "findings", "keep_alive")

    def __init__(self, connection, method, target, headers, head, body, keep_alive):
        self.number = 0
        self.time = time.time()
        self.connection = connection
        self.method, self.target, self.path = method, target, target.partition("?")[0]
        self.headers, self.head, self.body = headers, head, body
        self.keep_alive = keep_alive
        self.status = self.error_code = self.fault = self.run = self.principal = None
        self.fresh = False
        self.findings = []

    @property
    def query(self):
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def json(self):
        """The body parsed as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def run_id(self):
        return self.run.run_id if self.run else None

    def __repr__(self):
        return f"<{self.number}: {self.method} {self.target} -> {self.status} {self.error_code or ''}>"

    def summary(self):
        """A JSON shape without secrets: no Authorization value, no body of the token endpoint."""
        headers = {n: "***" if n == "authorization" else v for n, v in self.headers.items()}
        body = "***" if self.path.endswith("/token") else self.body.decode("utf-8", "backslashreplace")
        return {"number": self.number, "time": round(self.time, 6), "connection": self.connection,
                "method": self.method, "target": self.target, "headers": headers, "body": body,
                "json": None if body == "***" else self.json, "status": self.status, "error_code": self.error_code,
                "fault": self.fault, "run_id": self.run_id, "fresh": self.fresh, "findings": self.findings}


class Reply:
    """An answer.  content_type None sends no Content-Type."""
    __slots__ = ("status", "body", "content_type", "headers", "error_code")

    def __init__(self, status, body=b"", content_type="application/json", headers=(), error_code=None):
        self.status, self.body, self.content_type = status, body, content_type
        self.headers = list(headers)
        self.error_code = error_code

    def head(self, framing, keep_alive):
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Date: {formatdate(usegmt=True)}", framing]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if not keep_alive:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1", "replace") + _BLANK

    def wire(self, keep_alive, extra_length=0):
        """The answer's bytes.  extra_length is added to Content-Length without being sent."""
        return self.head(f"Content-Length: {len(self.body) + extra_length}", keep_alive) + self.body


class Connection:
    """One accepted socket (plain or TLS).  stopping is the event that ends every wait."""

    def __init__(self, sock, number, stopping):
        self.sock, self.number, self.stopping = sock, number, stopping
        self._buffer = bytearray()

    def read_request(self):
        """The next request, or None when the client closed between two requests.

        BadRequest for what is not HTTP; ConnectionError when the client went away in the middle.
        """
        end = self._fill_until_blank()
        if end is None:
            return None
        head = bytes(self._buffer[:end])
        del self._buffer[:end + len(_BLANK)]
        method, target, keep_alive, headers = parse_head(head)
        body = self._read_body(headers)
        return Request(self.number, method, target, headers, head, body, keep_alive)

    def send(self, data):
        self.sock.sendall(data)

    def send_pieces(self, data, piece, delay_s):
        """data in pieces of the given size (0: one piece), waiting delay_s before each; False when stopping."""
        piece = piece or len(data)
        for at in range(0, len(data), piece):
            if self.stopping.wait(delay_s):
                return False
            self.send(data[at:at + piece])
        return True

    def reset(self):
        """Close so that the client gets a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close_after_refusal(self):
        """Close after an answer to a request that was not read to its end, in a way that lets the answer arrive."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(2)
        while self.sock.recv(65536):
            pass

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the client closed in the middle of a request")
        self._buffer += data

    def _fill_until_blank(self):
        start = 0
        while (end := self._buffer.find(_BLANK, start)) < 0 and len(self._buffer) <= MAX_HEAD_BYTES:
            start = max(0, len(self._buffer) - 3)
            data = self.sock.recv(65536)
            if not data:
                if self._buffer:
                    raise ConnectionError("the client closed in the middle of a request head")
                return None
            self._buffer += data
        if not 0 <= end <= MAX_HEAD_BYTES:
            raise BadRequest(431, "the request head is too long")
        return end

    def _read_body(self, headers):
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked" or "content-length" in headers:
                raise BadRequest(400, "unusable Transfer-Encoding")
            self._continue_if_asked(headers)
            return self._read_chunks()
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequest(400, "unusable Content-Length")
        if len(length) > 18 or int(length) > MAX_BODY_BYTES:
            raise BadRequest(413, f"the request body exceeds {MAX_BODY_BYTES} bytes")
        if int(length):
            self._continue_if_asked(headers)
        return self._take(int(length))

    def _continue_if_asked(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue" + _BLANK)

    def _take(self, size):
        while len(self._buffer) < size:
            self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _take_line(self):
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest(400, "a line of the chunked body is too long")
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[:end + 2]
        return line

    def _read_chunks(self):
        body = bytearray()
        while True:
            text = self._take_line().partition(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(text):
                raise BadRequest(400, "unusable chunk size")
            size = int(text, 16)
            if size > MAX_BODY_BYTES - len(body):
                raise BadRequest(413, f"the request body exceeds {MAX_BODY_BYTES} bytes")
            if size == 0:
                break
            body += self._take(size)
            if self._take(2) != b"\r\n":
                raise BadRequest(400, "a chunk does not end where it should")
        while self._take_line():
            pass
        return bytes(body)


def parse_head(head):
    """(method, target, keep-alive, headers) of the bytes before the blank line."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[0].isalpha() or not parts[1].startswith("/") \
            or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400, "unusable request line")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise BadRequest(400, "unusable header line")
        name = name.lower()
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "host" not in headers and parts[2] == "HTTP/1.1":
        raise BadRequest(400, "no Host header")
    # An answer to HEAD would need its body left out; closing spares us that.
    keep_alive = parts[2] == "HTTP/1.1" and parts[0] != "HEAD" and headers.get("connection", "").lower() != "close"
    return parts[0], parts[1], keep_alive, headers
