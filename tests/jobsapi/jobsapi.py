#!/usr/bin/python3
"""A stand-in of the Databricks Jobs API for tests and the demo: a module with the class JobsApi, and a program.

In a test, with this folder on sys.path:

    from jobsapi import JobsApi
    with JobsApi({418823550071934: ["input_path"]}) as api:
        ...                         # the program under test talks to api.url with api.token
        api.wait_for(lambda: len(api.runs) == 3)

As a program it prints "ready URL" when it listens, and ends on SIGTERM or SIGINT; see --help.

The server is ThreadingTCPServer with one thread per connection; all state sits behind one lock, which is never held
while sending.  The rules are in jobsapi_rules, jobs and runs in jobsapi_runs, credentials in jobsapi_auth, HTTP in
jobsapi_wire, faults in jobsapi_faults, control over HTTP in jobsapi_control, the program in jobsapi_main.
"""

import json
import os
import socket
import socketserver
import ssl
import sys
import threading
import time
import traceback
from collections import deque

import jobsapi_azure
import jobsapi_control
from jobsapi_auth import EXCHANGE_GRANT, Credentials, OAuthError
from jobsapi_faults import Fault, FaultBook, html
from jobsapi_rules import (ApiError, compare_with_job, invalid, malformed, notice_oddities, read_id, read_run_now)
from jobsapi_runs import PAGE, Job, Run, Workspace, read_page_token
from jobsapi_wire import BadRequest, Connection, Reply, Request

__all__ = ["JobsApi", "Job", "Run", "Request", "Fault", "ApiError"]

TLS_HANDSHAKE_S = 10
LIST_DEFAULT = 20


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        self.api._note_bug()


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.api._serve_connection(self.request)


class JobsApi:
    """The stand-in.

    jobs          {job_id: [parameter names]} or an iterable of Job
    tokens        static bearer tokens; token is the first
    port          0 takes any; the port is kept over stop() and start()
    tls           (certificate file, key file), an ssl.SSLContext, or None for plain HTTP
    clients, basic, federation      see jobsapi_auth.Credentials, which is the attribute auth
    principals, identities          see jobsapi_azure.Azure, which is the attribute azure
    record        file to which every request is appended as a JSON line, without secrets
    on_run        called as on_run(run) for every new run, under the lock
    lenient       accept parameter names the job does not define (they are findings in any case)
    missing_job   400 or 404, the status for a job that is not there
    number_in_job whether run-now answers number_in_job
    run_ids       iterable of run ids to hand out
    clock         seconds since 1970
    keep          how many requests to remember; None: all

    requests      list of Request, oldest first     runs   list of Run, oldest first
    bad_http      why requests were refused that broke HTTP itself; these are not among requests
    bugs          tracebacks of the stand-in's own failures; stop() raises if there are any
    connections, incomplete, tls_failures, max_in_flight     counters
    """

    def __init__(self, jobs=None, *, tokens=("stand-in-token",), port=0, tls=None, clients=None, basic=None,
                 federation=None, principals=None, identities=(), record=None, on_run=None, lenient=False,
                 missing_job=400, number_in_job=True, run_ids=None, org_id="2870163541963745", clock=time.time,
                 keep=None):
        self.port = port
        self.lenient, self.missing_job, self.number_in_job, self.org_id = lenient, missing_job, number_in_job, org_id
        self.on_run = on_run
        self.clock = clock
        self.tls = _make_context(tls)
        self.token = next(iter(tokens), None)
        self.auth = Credentials(clock, tokens, basic, clients, federation)
        self.azure = jobsapi_azure.Azure(self.auth, principals, identities)
        self.faults = FaultBook()
        self.requests = [] if keep is None else deque(maxlen=keep)
        self.bugs, self.bad_http = [], []
        self.connections = self.incomplete = self.tls_failures = self.in_flight = self.max_in_flight = 0
        self._workspace = Workspace(clock, run_ids)
        self._changed = threading.Condition(threading.RLock())
        self._numbers = 0
        self._record_path, self._record = record, None
        self._server = self._thread = None
        self._stopping = threading.Event()
        self._sockets = set()
        for job in jobs.items() if isinstance(jobs, dict) else jobs or ():
            self.add_job(*job) if isinstance(job, tuple) else self.add_job(job)

    # --- for tests ----------------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def runs(self):
        return self._workspace.runs

    @property
    def jobs(self):
        return self._workspace.jobs

    @property
    def lock(self):
        """The lock around all state, to be held as "with api.lock:"; it may be taken again by its holder."""
        return self._changed

    def start(self):
        """Listen and serve in a thread of its own.  Returns self."""
        self._stopping.clear()
        if self._record_path:
            self._record = os.open(self._record_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.api = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._accept, args=(self._server,), name="jobsapi", daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Stop listening and cut every connection.  State stays, so that start() goes on where it was."""
        if self._server is None:
            return
        self._stopping.set()
        _shut(self._server.socket)
        self._thread.join()
        self._server.server_close()
        self._server = None
        with self._changed:
            for sock in self._sockets:
                _shut(sock)
            self._changed.wait_for(lambda: not self._sockets, timeout=5)
            if self._record is not None:
                os.close(self._record)
                self._record = None
            if self.bugs:
                raise RuntimeError("the stand-in failed:\n" + "\n".join(self.bugs))

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def add_job(self, job, parameters=(), **options):
        """Add or replace a job: a Job, or its id with parameter names and the other fields of Job."""
        job = job if isinstance(job, Job) else Job(int(job), parameters, **options)
        with self._changed:
            self._workspace.jobs[job.job_id] = job
        return job

    def change_job(self, job_id, **options):
        """Other values for fields of Job; a job that was deleted is there again. Returns it."""
        with self._changed:
            job = self._workspace.jobs[job_id]
            for name, value in {"deleted": False, **options}.items():
                if name == "job_id" or not hasattr(job, name):
                    raise ValueError(f"a job has no field {name}")
                setattr(job, name, value)
            job.__post_init__()
            return job

    def delete_job(self, job_id):
        """As if it had never been, but for the runs it had."""
        return self.change_job(job_id, deleted=True)

    def fault(self, kind, **options):
        """Put a fault in force (jobsapi_faults); returns it, with hits and release()."""
        with self._changed:
            return self.faults.add(Fault(kind, **options))

    def remove_fault(self, fault):
        with self._changed:
            self.faults.remove(fault)

    def clear_faults(self):
        with self._changed:
            self.faults.clear()

    def add_token(self, token):
        with self._changed:
            self.auth.add_token(token)

    def expire_tokens(self, *tokens, status=None):
        """Refuse these tokens, or all that are good now, as expired: 401, 403 or 400."""
        with self._changed:
            self.auth.expire(tokens, status)

    def finish_run(self, run_id, result="SUCCESS", message="", code=None):
        with self._changed:
            run = self._workspace.finish(run_id, result, message, code)
            self._changed.notify_all()
            return run

    def delete_run(self, run_id):
        with self._changed:
            return self._workspace.delete(run_id)

    def get_run(self, run_id):
        with self._changed:
            return self._workspace.get_run(run_id)

    def sent(self, path="", **want):
        """The requests whose path contains path and whose attributes have the wanted values, oldest first."""
        with self._changed:
            return [r for r in self.requests if path in r.path and all(getattr(r, n) == v for n, v in want.items())]

    def wait_for(self, predicate, timeout=10.0):
        """Wait until predicate() is true, looked at after every request and change; returns what it gave."""
        with self._changed:
            result = self._changed.wait_for(predicate, timeout)
            if not result:
                raise TimeoutError(f"not seen within {timeout} s; {len(self.runs)} runs, last requests: "
                                   f"{list(self.requests)[-5:]}")
            return result

    def wait_for_runs(self, count, timeout=10.0):
        """Wait until at least count runs exist; returns the list of all."""
        self.wait_for(lambda: len(self.runs) >= count, timeout)
        return list(self.runs)

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self, server):
        """Not serve_forever(), which would notice the end only at its next poll; shutting the socket wakes this."""
        while not self._stopping.is_set():
            server.handle_request()

    def _serve_connection(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock = self._shake_hands(sock)
            if sock is None:
                return
        with self._changed:
            self._sockets.add(sock)
            self.connections += 1
            number = self.connections
        try:
            if not self._stopping.is_set():
                self._serve_requests(Connection(sock, number, self._stopping))
        except OSError:
            with self._changed:
                self.incomplete += 1
        finally:
            sock.close()
            with self._changed:
                self._sockets.discard(sock)
                self._changed.notify_all()

    def _shake_hands(self, sock):
        sock.settimeout(TLS_HANDSHAKE_S)
        try:
            sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError:
            with self._changed:
                self.tls_failures += 1
                self._changed.notify_all()
            return None
        sock.settimeout(None)
        return sock

    def _serve_requests(self, conn):
        while True:
            try:
                request = conn.read_request()
            except BadRequest as bad:
                with self._changed:
                    self.bad_http.append(str(bad))
                error = ApiError(bad.status, "MALFORMED_REQUEST" if bad.status == 400 else None, bad.text)
                conn.send(Reply(bad.status, error.body()).wire(False))
                conn.close_after_refusal()
                return
            if request is None or not self._serve_request(conn, request):
                return

    def _serve_request(self, conn, request):
        """Answer one request; True when the connection goes on."""
        if request.path.startswith("/_control/"):
            conn.send(self._control(request).wire(request.keep_alive))
            return request.keep_alive
        with self._changed:
            self._numbers += 1
            request.number = self._numbers
            self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            fault = self.faults.take(request)
            reply = self._decide(request, fault)
            self._note(request, reply, fault)
        try:
            if fault is not None and fault.spoils_sending:
                return fault.deliver(conn, reply) and request.keep_alive
            conn.send(reply.wire(request.keep_alive))
            return request.keep_alive
        finally:
            with self._changed:
                self.in_flight -= 1
                self._changed.notify_all()

    def _control(self, request):
        status, shape = jobsapi_control.answer(self, request)
        return _json(shape, status)

    def _decide(self, request, fault):
        """The answer to a request, and everything it does to the workspace."""
        reply = None
        if fault is None or fault.after:
            reply = self._process(request)
        if fault is not None:
            request.fault = fault.kind
            if fault.kind == "expired":
                bearer = request.headers.get("authorization", "").partition(" ")[2]
                self.auth.expire([bearer], fault.options.get("status", 401))
            reply = fault.make_reply(self.clock) or reply or Reply(200)
        return reply

    def _note(self, request, reply, fault):
        if fault is None or fault.sends_answer:
            request.status, request.error_code = reply.status, reply.error_code
        if self._record is not None:
            os.write(self._record, json.dumps(request.summary()).encode() + b"\n")
        self._changed.notify_all()

    def _note_bug(self):
        with self._changed:
            self.bugs.append(traceback.format_exc())

    # --- routes -------------------------------------------------------------------------------------------------------

    def _process(self, request):
        try:
            return self._route(request)
        except ApiError as error:
            headers = [("X-Databricks-Reason-Phrase", error.message)] if isinstance(error.code, int) else ()
            return Reply(error.status, error.body(), headers=headers, error_code=error.code)
        except OAuthError as error:
            return Reply(error.status, error.body(), error_code=error.error)
        except Exception:
            self._note_bug()
            return Reply(500, b"the stand-in failed", "text/plain")

    def _route(self, request):
        outside = self._OPEN.get((request.method, request.path))
        if outside:
            return outside(self, request)
        entra = jobsapi_azure.ENTRA_PATH.fullmatch(request.path) if self.azure.principals else None
        if entra and request.method == "POST":
            return Reply(200, self.azure.answer_entra(entra[1], request.headers, request.body))
        if not request.path.startswith("/api/"):
            raise _not_found(request)
        request.principal = self.auth.check(request.headers.get("authorization"))
        if (request.method, request.path) == ("GET", "/api/2.0/preview/scim/v2/Me"):
            return self._me(request)
        version, _, call = request.path.removeprefix("/api/").partition("/")
        route = self._JOBS.get((request.method, call)) if version in ("2.0", "2.1", "2.2") else None
        if route is None:
            raise _not_found(request)
        return route(self, request, version)

    def _issue_token(self, request):
        return Reply(200, self.auth.issue(request.headers.get("authorization"), request.headers.get("content-type"),
                                          request.body), headers=[("Cache-Control", "no-store")])

    def _metadata(self, request):
        if not self.azure.identities:
            raise _not_found(request)
        return Reply(200, self.azure.answer_metadata(request.headers, request.query))

    def _discover(self, request):
        return _json({"issuer": f"{self.url}/oidc", "token_endpoint": f"{self.url}/oidc/v1/token",
                      "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
                      "grant_types_supported": ["client_credentials", EXCHANGE_GRANT],
                      "scopes_supported": ["all-apis"]})

    def _login_page(self, request):
        return Reply(200, html("Sign in"), "text/html; charset=utf-8")

    def _me(self, request):
        reply = _json({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "7716354985031",
                       "userName": request.principal, "displayName": request.principal, "active": True})
        reply.content_type = "application/scim+json; charset=utf-8"
        reply.headers.append(("X-Databricks-Org-Id", self.org_id))
        return reply

    def _run_now(self, request, version):
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise malformed(f"Content-Type must be application/json, found '{kind}'")
        body = read_run_now(request.body, version)
        request.findings += notice_oddities(body)
        job = self._find_job(request, body["job_id"], "CAN_MANAGE_RUN", "Manage Run or Owner or Admin",
                             "RESOURCE_DOES_NOT_EXIST")
        misfits = compare_with_job(body, job.parameters)
        request.findings += misfits
        if misfits and not self.lenient:
            raise invalid(misfits[0])
        request.run, request.fresh = self._workspace.start(job, body)
        if request.fresh and self.on_run:
            self.on_run(request.run)
        run_id = request.run.run_id
        number = f',"number_in_job":{run_id}' if self.number_in_job else ""
        return Reply(200, f'{{"run_id":{run_id}{number}}}'.encode())

    def _get_job(self, request, version):
        job_id = read_id(request.query, "job_id")
        job = self._find_job(request, job_id, "CAN_VIEW", "View or Admin or Manage Run or Owner")
        return _json(job.show_page(self.auth.principal, version, request.query.get("page_token", [""])[0]))

    def _list_jobs(self, request, version):
        query = request.query
        start = read_page_token(query.get("page_token", [""])[0])
        limit = read_id(query, "limit") if "limit" in query else LIST_DEFAULT
        if limit > PAGE:
            raise invalid(f"limit must be between 1 and {PAGE}, found {limit}")
        name = query.get("name", [""])[0].lower()
        tasks = query.get("expand_tasks", ["false"])[0] == "true"
        jobs = [j for j in self.jobs.values() if j.permission and not j.deleted and name in ("", j.name.lower())]
        shape = {"jobs": [j.show(self.auth.principal, tasks) for j in jobs[start:start + limit]],
                 "has_more": len(jobs) > start + limit}
        if shape["has_more"]:
            shape["next_page_token"] = f"from-{start + limit}"
        return _json(shape)

    def _get_run(self, request, version):
        run = self._workspace.get_run(read_id(request.query, "run_id"))
        return _json(run.show(self.jobs[run.job_id], self.auth.principal, self.url))

    def _find_job(self, request, job_id, need, rights, code_404=None):
        """The job, if it is there and the caller may do with it what it needs."""
        job = self._workspace.jobs.get(job_id)
        if job is not None and job.deleted:
            job = None
        if job is None and self.missing_job == 404:
            raise ApiError(404, code_404, f"Job {job_id} does not exist.")
        if job is None:
            raise invalid(f"Job {job_id} does not exist.")
        if job.permission not in (need, "CAN_MANAGE_RUN"):
            raise ApiError(403, "PERMISSION_DENIED",
                           f"User {request.principal} does not have {rights} permissions on job {job_id}")
        return job

    _OPEN = {
        ("POST", "/oidc/v1/token"): _issue_token,
        ("GET", "/oidc/.well-known/oauth-authorization-server"): _discover,
        ("GET", "/login.html"): _login_page,
        ("GET", jobsapi_azure.METADATA_PATH): _metadata,
    }
    _JOBS = {
        ("POST", "jobs/run-now"): _run_now,
        ("GET", "jobs/get"): _get_job,
        ("GET", "jobs/list"): _list_jobs,
        ("GET", "jobs/runs/get"): _get_run,
    }


def _not_found(request):
    return ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")


def _json(shape, status=200):
    return Reply(status, json.dumps(shape).encode())


def _shut(sock):
    """Shut a socket another thread may be reading; not through ssl, whose state that thread is using."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass


def _make_context(tls):
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    return context


if __name__ == "__main__":
    from jobsapi_main import main
    sys.exit(main())
