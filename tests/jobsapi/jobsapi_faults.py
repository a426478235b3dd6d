"""Faults: what the stand-in does wrong on purpose, for which request, and how often.

A fault replaces or spoils the answer of the requests it selects.  Most kinds come before any processing, so that
nothing happened at the service; with after=True, and for the kinds that say so, the request is processed in full
first, so that the run exists although the client may never hear of it.

    kind      options                                    what the client sees
    status    status, error_code, message, details,      an error; retry_after=7 or any text goes out as it is,
              retry_after, retry_date                    retry_date=7 as the HTTP date in 7 seconds
    numeric   status, message                            error_code as a number
    plain     status, error_code, message                "CODE: text" as text/plain
    html      status, message                            an HTML page
    empty     status                                     no body
    redirect  status, location                           302 to /login.html
    answer    status, content, content_type, headers     exactly this; content is text, bytes or a JSON shape
    raw       data                                       these bytes instead of an answer, then close
    expired   status (401, 403, 400)                     the token it came with has expired, and stays so
    drop      -                                          close without an answer
    reset     -                                          TCP reset
    endless   piece, delay_s                             a chunked body that never ends
    lose      -                   (after)                close without an answer; the run exists
    truncate  missing             (after)                Content-Length promises that many bytes more; close
    slow      piece, delay_s      (after)                the right answer in pieces, delay_s before each
    hold      -                   (after)                no answer before release() of the fault
    hangup    -                   (after)                the right answer, then the idle connection is closed
"""

import json
import threading
from email.utils import formatdate

from jobsapi_auth import EXPIRED_FORMS, expired_error
from jobsapi_rules import ApiError
from jobsapi_wire import Reply

CODES = {400: "INVALID_PARAMETER_VALUE", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST", 409: "ABORTED",
         429: "REQUEST_LIMIT_EXCEEDED", 499: "CANCELLED", 500: "INTERNAL_ERROR", 501: "NOT_IMPLEMENTED",
         503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
LOGIN = "/login.html?error=private-link-validation-error"


def html(message):
    return f"<html><head><title>{message}</title></head><body><pre>{message}</pre></body></html>".encode()


def _status(o, clock):
    status = o.get("status", 503)
    code = o.get("error_code", CODES.get(status))
    error = ApiError(status, code, o.get("message", "The service asks to try again later."), o.get("details"))
    reply = Reply(status, error.body(), error_code=code)
    if "retry_after" in o:
        reply.headers.append(("Retry-After", o["retry_after"]))
    if "retry_date" in o:
        reply.headers.append(("Retry-After", formatdate(clock() + o["retry_date"], usegmt=True)))
    return reply


def _numeric(o, clock):
    status = o.get("status", 403)
    message = o.get("message", "Invalid access to Org: 1234567890123456")
    return Reply(status, ApiError(status, status, message).body(), error_code=status,
                 headers=[("X-Databricks-Reason-Phrase", message)])


def _plain(o, clock):
    code = o.get("error_code", "INVALID_STATE")
    return Reply(o.get("status", 400), f"{code}: {o.get('message', 'the request can not be served')}".encode(),
                 "text/plain; charset=utf-8", error_code=code)


def _html(o, clock):
    return Reply(o.get("status", 200), html(o.get("message", "Service is starting")), "text/html; charset=utf-8")


def _empty(o, clock):
    return Reply(o.get("status", 200), content_type=None)


def _redirect(o, clock):
    return Reply(o.get("status", 302), content_type=None, headers=[("Location", o.get("location", LOGIN))])


def _answer(o, clock):
    content = o.get("content", b"")
    if isinstance(content, (dict, list)):
        content = json.dumps(content)
    return Reply(o.get("status", 200), content if isinstance(content, bytes) else content.encode(),
                 o.get("content_type", "application/json"), headers=dict(o.get("headers", {})).items())


def _expired(o, clock):
    error = expired_error(o.get("status", 401))
    return Reply(error.status, error.body(), error_code=error.code)


# Kinds that give another answer, sent in the ordinary way: kind -> (the options it knows, how).
ANSWERS = {
    "status": ("status error_code message details retry_after retry_date", _status),
    "numeric": ("status message", _numeric),
    "plain": ("status error_code message", _plain),
    "html": ("status message", _html),
    "empty": ("status", _empty),
    "redirect": ("status location", _redirect),
    "answer": ("status content content_type headers", _answer),
    "expired": ("status", _expired),
}


def _send_nothing(conn, reply, fault):
    return False


def _send_reset(conn, reply, fault):
    conn.reset()
    return False


def _send_raw(conn, reply, fault):
    data = fault.options.get("data", b"SSH-2.0-OpenSSH_9.2\r\n")
    conn.send(data if isinstance(data, bytes) else data.encode())
    return False


def _send_endless(conn, reply, fault):
    conn.send(Reply(200).head("Transfer-Encoding: chunked", True))
    piece = fault.options.get("piece", 4096)
    chunk = b"%x\r\n%s\r\n" % (piece, b" " * piece)
    while conn.send_pieces(chunk, len(chunk), fault.options.get("delay_s", 0)):
        pass
    return False


def _send_truncated(conn, reply, fault):
    conn.send(reply.wire(True, extra_length=fault.options.get("missing", 10)))
    return False


def _send_slowly(conn, reply, fault):
    return conn.send_pieces(reply.wire(True), fault.options.get("piece", 1), fault.options.get("delay_s", 0))


def _send_held(conn, reply, fault):
    while not fault.released.wait(0.05):
        if conn.stopping.is_set():
            return False
    conn.send(reply.wire(True))
    return True


def _send_and_hang_up(conn, reply, fault):
    conn.send(reply.wire(True))
    return False


# Kinds that spoil the sending: kind -> (the options it knows, processed first, sends an answer, how).
# How says whether the connection goes on.
SENDERS = {
    "drop": ("", False, False, _send_nothing),
    "reset": ("", False, False, _send_reset),
    "raw": ("data", False, False, _send_raw),
    "endless": ("piece delay_s", False, True, _send_endless),
    "lose": ("", True, False, _send_nothing),
    "truncate": ("missing", True, True, _send_truncated),
    "slow": ("piece delay_s", True, True, _send_slowly),
    "hold": ("", True, True, _send_held),
    "hangup": ("", True, True, _send_and_hang_up),
}


class Fault:
    """One fault.  Selected are the requests for which every given predicate holds:

    path      substring of the path          method  exactly this
    body      substring of the body          when    any function of the Request (in-process only)
    nth       skip the first nth - 1 selected requests
    times     act on that many, then be spent; None: on every one until removed
    """

    def __init__(self, kind, path=None, method=None, body=None, when=None, nth=1, times=1, after=None, **options):
        known, processed_first, self.sends_answer = _traits(kind)
        _check_fault(kind, known, nth, times, when, options)
        self.kind, self.path, self.method, self.when = kind, path, method, when
        self.body = body.encode() if isinstance(body, str) else body
        self.nth, self.times, self.options = nth, times, options
        self.after = processed_first if after is None else after
        self.spoils_sending = kind in SENDERS
        self.seen = self.hits = 0
        self.released = threading.Event()

    def selects(self, request):
        return ((self.path is None or self.path in request.path)
                and (self.method is None or self.method == request.method)
                and (self.body is None or self.body in request.body)
                and (self.when is None or bool(self.when(request))))

    def is_spent(self):
        return self.times is not None and self.hits >= self.times

    def release(self):
        """Let go what hold is holding, now and later."""
        self.released.set()

    def make_reply(self, clock):
        """The answer of an answering kind; None for a kind that spoils the sending."""
        return None if self.spoils_sending else ANSWERS[self.kind][1](self.options, clock)

    def deliver(self, conn, reply):
        """Send the spoiled answer; True when the connection goes on."""
        return SENDERS[self.kind][3](conn, reply, self)

    def summary(self):
        return {"kind": self.kind, "path": self.path, "method": self.method, "nth": self.nth, "times": self.times,
                "after": self.after, "seen": self.seen, "hits": self.hits}


def _traits(kind):
    if kind in ANSWERS:
        return ANSWERS[kind][0], False, True
    return SENDERS.get(kind, (None, False, False))[:3]


def _check_fault(kind, known, nth, times, when, options):
    """ValueError for a fault that could never act, or not as its writer thinks."""
    if known is None:
        raise ValueError(f"unknown kind of fault {kind!r}; known: {', '.join([*ANSWERS, *SENDERS])}")
    for name in options:
        if name not in known.split():
            raise ValueError(f"fault {kind} has no option {name!r}; it has: {known or 'none'}")
    if not isinstance(nth, int) or nth < 1:
        raise ValueError(f"nth must be a number from 1, found {nth!r}")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError(f"times must be a number from 1, or None, found {times!r}")
    if when is not None and not callable(when):
        raise ValueError("when must be a function")
    for name in ("status", "piece", "missing", "delay_s", "retry_date"):
        if not isinstance(options.get(name, 0), (int, float)):
            raise ValueError(f"{name} must be a number, found {options[name]!r}")
    if kind == "expired" and options.get("status", 401) not in EXPIRED_FORMS:
        raise ValueError(f"status of an expired token must be one of {', '.join(map(str, EXPIRED_FORMS))}")


class FaultBook:
    """The faults in force.  Holds no lock; its caller serialises."""

    def __init__(self):
        self.faults = []

    def add(self, fault):
        self.faults.append(fault)
        return fault

    def remove(self, fault):
        if fault in self.faults:
            self.faults.remove(fault)
        fault.release()

    def clear(self):
        for fault in list(self.faults):
            self.remove(fault)

    def take(self, request):
        """The first fault that acts on this request, counted; every fault that selects it sees it."""
        acting = None
        for fault in self.faults:
            if fault.is_spent() or not fault.selects(request):
                continue
            fault.seen += 1
            if acting is None and fault.seen >= fault.nth:
                acting = fault
                fault.hits += 1
        return acting
