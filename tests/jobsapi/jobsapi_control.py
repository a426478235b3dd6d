"""Inspection and control over HTTP, for a shell.  Only here: the service has nothing like it.

These routes need no credential and are not recorded.  Bodies and answers are JSON; an answer holds no secret.

    GET    /_control/requests[?since=N]    requests recorded, those after number N
    GET    /_control/runs                  every run
    GET    /_control/fault                 faults with what they did
    POST   /_control/fault                 {"kind": ..., options of jobsapi_faults}
    DELETE /_control/fault                 remove every fault
    GET    /_control/job                   every job
    POST   /_control/job                   {"job_id": N, fields of jobsapi_runs.Job}: made or changed
    DELETE /_control/job                   {"job_id": N}
    POST   /_control/release               let go what hold is holding
    POST   /_control/finish                {"run_id": N, "result": "SUCCESS"}
    POST   /_control/delete                {"run_id": N}
    POST   /_control/expire                {"status": 401}: every token good now is refused as expired
"""

import json
from dataclasses import asdict

from jobsapi_rules import ApiError


def answer(api, request):
    """(status, JSON shape) for a request beneath /_control/."""
    route = _ROUTES.get((request.method, request.path.removeprefix("/_control/")))
    if route is None:
        return 404, {"error": f"no control route {request.method} {request.path}"}
    try:
        with api.lock:
            return 200, route(api, request)
    except (ApiError, ValueError, TypeError, KeyError) as problem:
        return 400, {"error": f"{type(problem).__name__}: {problem}"}


def _arguments(request):
    shape = json.loads(request.body or b"{}")
    if not isinstance(shape, dict):
        raise ValueError("the body must be a JSON object")
    return shape


def _requests(api, request):
    since = int(request.query.get("since", ["0"])[0])
    return [r.summary() for r in api.requests if r.number > since]


def _runs(api, request):
    return [run.summary() for run in api.runs]


def _faults(api, request):
    return [fault.summary() for fault in api.faults.faults]


def _add_fault(api, request):
    return api.fault(**_arguments(request)).summary()


def _clear(api, request):
    api.clear_faults()
    return []


def _jobs(api, request):
    return [asdict(job) for job in api.jobs.values()]


def _set_job(api, request):
    fields = _arguments(request)
    job_id = fields.pop("job_id")
    return asdict(api.change_job(job_id, **fields) if job_id in api.jobs else api.add_job(job_id, **fields))


def _delete_job(api, request):
    return asdict(api.delete_job(**_arguments(request)))


def _release(api, request):
    for fault in api.faults.faults:
        fault.release()
    return {}


def _finish(api, request):
    return api.finish_run(**_arguments(request)).summary()


def _delete(api, request):
    return api.delete_run(**_arguments(request)).summary()


def _expire(api, request):
    api.expire_tokens(**_arguments(request))
    return {}


_ROUTES = {
    ("GET", "requests"): _requests,
    ("GET", "runs"): _runs,
    ("GET", "fault"): _faults,
    ("POST", "fault"): _add_fault,
    ("DELETE", "fault"): _clear,
    ("GET", "job"): _jobs,
    ("POST", "job"): _set_job,
    ("DELETE", "job"): _delete_job,
    ("POST", "release"): _release,
    ("POST", "finish"): _finish,
    ("POST", "delete"): _delete,
    ("POST", "expire"): _expire,
}
