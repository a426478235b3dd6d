"""Jobs and their runs: one run per idempotency token, concurrency, queueing, and the two views of a run's state.

Workspace holds no lock; its caller serialises.  Time comes from the clock it is given (seconds since 1970).
"""

import itertools
from collections import deque
from dataclasses import dataclass, field

from jobsapi_rules import PARAMETER_FIELDS, ApiError, invalid

PAGE = 100

# Ids that break a client which keeps them as doubles: printed in exponent form, above 2^53, last digits lost.
AWKWARD_IDS = (1234567890123450, 8787654321987654321, 4503599627370501, 1000000000000000, 9007199254740993)

# result_state -> (life_cycle_state of the old view, termination code, termination type)
RESULTS = {
    "SUCCESS": ("TERMINATED", "SUCCESS", "SUCCESS"),
    "SUCCESS_WITH_FAILURES": ("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCESS"),
    "FAILED": ("INTERNAL_ERROR", "RUN_EXECUTION_ERROR", "CLIENT_ERROR"),
    "CANCELED": ("TERMINATED", "USER_CANCELED", "CLIENT_ERROR"),
    "TIMEDOUT": ("TERMINATED", "CANCELED", "CLIENT_ERROR"),
}


def awkward_ids():
    """Run ids without end, none twice: full 64 bits, some ending in 0."""
    for step in itertools.count(step=10):
        for base in AWKWARD_IDS:
            yield base + step


@dataclass
class Job:
    """A job of the workspace.  permission is CAN_MANAGE_RUN, CAN_VIEW or None; queue_size None has no limit.

    auto_finish ends a run with SUCCESS as soon as it runs; without it a run lasts until finish_run().
    run_as is whose rights its runs have, "" the caller's; deleted ones are there for their runs only.
    settings is merged into what jobs/get shows (tasks, schedule, trigger ...); None takes a member away.
    """
    job_id: int
    parameters: dict = field(default_factory=dict)
    name: str = ""
    max_concurrent_runs: int = 1
    queue: bool = True
    queue_size: int = None
    auto_finish: bool = True
    permission: str = "CAN_MANAGE_RUN"
    task_type: str = "notebook_task"
    task_count: int = 1
    run_as: str = ""
    deleted: bool = False
    settings: dict = field(default_factory=dict)

    def __post_init__(self):
        if not isinstance(self.parameters, dict):
            self.parameters = dict.fromkeys(self.parameters, "")
        self.name = self.name or f"job {self.job_id}"

    def show(self, principal, tasks=True):
        """The job as jobs/get answers, before paging."""
        settings = {"name": self.name, "format": "MULTI_TASK", "max_concurrent_runs": self.max_concurrent_runs,
                    "queue": {"enabled": self.queue}, "timeout_seconds": 0}
        if self.parameters:
            settings["parameters"] = [{"name": n, "default": d} for n, d in self.parameters.items()]
        if tasks:
            settings["tasks"] = [{"task_key": f"task{n}", self.task_type: {}} for n in range(self.task_count)]
        settings.update({n: v for n, v in self.settings.items() if tasks or n != "tasks"})
        settings = {n: v for n, v in settings.items() if v is not None}
        return {"job_id": self.job_id, "creator_user_name": principal, "run_as_user_name": self.run_as or principal,
                "created_time": 1700000000000, "settings": settings}

    def _show_old(self, shape):
        """As API 2.0 has it: the one task is no list, its fields stand among the settings."""
        tasks = shape["settings"].pop("tasks", [])
        if len(tasks) > 1:
            raise invalid(f"Job {self.job_id} has several tasks and can only be handled by API 2.1 and above.")
        shape["settings"].update({n: v for task in tasks for n, v in task.items() if n != "task_key"})
        shape["settings"]["format"] = "SINGLE_TASK"
        return shape

    def show_page(self, principal, version, page_token):
        """One page of jobs/get: version 2.1 has no pages, 2.2 cuts arrays at 100 entries."""
        shape = self.show(principal)
        if version == "2.0":
            return self._show_old(shape)
        arrays = [n for n, value in shape["settings"].items() if isinstance(value, list)]
        longest = max((len(shape["settings"][n]) for n in arrays), default=0)
        if version == "2.1":
            if longest > PAGE:
                raise invalid(f"Job {self.job_id} has more than {PAGE} elements in an array and can only be handled "
                              "by API 2.2 and above.")
            return shape
        start = read_page_token(page_token)
        for name in arrays:
            shape["settings"][name] = shape["settings"][name][start:start + PAGE]
        if longest > start + PAGE:
            shape["next_page_token"] = f"from-{start + PAGE}"
        return shape


def read_page_token(text):
    if not text:
        return 0
    if not (text.startswith("from-") and text[5:].isdecimal()):
        raise invalid(f"page_token {text!r} was not given out by this server")
    return int(text[5:])


@dataclass
class Run:
    """One run.  state is QUEUED, RUNNING, SKIPPED or TERMINATED; slots maps each parameter field sent to its value."""
    run_id: int
    job_id: int
    token: str
    body: dict
    queueing: bool
    created: float
    state: str = "RUNNING"
    result: str = ""
    code: str = ""
    kind: str = ""
    message: str = ""
    old_state: str = ""
    finished: float = 0.0
    answers: int = 0
    deleted: bool = False

    @property
    def slots(self):
        return {name: self.body[name] for name in PARAMETER_FIELDS if name in self.body}

    @property
    def parameters(self):
        """The value of the parameter field that was sent: a dict or a list; {} when there was none."""
        return next(iter(self.slots.values()), {})

    def summary(self):
        return {"run_id": self.run_id, "job_id": self.job_id, "token": self.token, "state": self.state,
                "result": self.result, "parameters": self.parameters, "slots": self.slots, "answers": self.answers,
                "deleted": self.deleted}

    def show(self, job, principal, url):
        """The run as runs/get answers: status (current) and state (old)."""
        shape = {"job_id": self.job_id, "run_id": self.run_id, "number_in_job": self.run_id,
                 "original_attempt_run_id": self.run_id, "job_run_id": self.run_id, "attempt_number": 0,
                 "creator_user_name": principal, "run_name": job.name, "run_type": "JOB_RUN", "trigger": "ONE_TIME",
                 "run_page_url": f"{url}/jobs/{self.job_id}/runs/{self.run_id}", "format": "MULTI_TASK",
                 "start_time": int(self.created * 1000), "end_time": int(self.finished * 1000),
                 "status": self._status(), "state": self._state(), "job_parameters": self._job_parameters(job)}
        overriding = {n: v for n, v in self.slots.items() if n != "job_parameters"}
        if overriding:
            shape["overriding_parameters"] = overriding
        return shape

    def _status(self):
        if self.state == "QUEUED":
            return {"state": "QUEUED", "queue_details": {"code": "MAX_CONCURRENT_RUNS_REACHED",
                                                         "message": "Queued due to reaching maximum concurrent runs."}}
        if self.state == "RUNNING":
            return {"state": "RUNNING"}
        return {"state": "TERMINATED",
                "termination_details": {"code": self.code, "type": self.kind, "message": self.message}}

    def _state(self):
        shape = {"life_cycle_state": self.old_state or self.state, "state_message": self.message,
                 "user_cancelled_or_timedout": self.result in ("CANCELED", "TIMEDOUT")}
        if self.result:
            shape["result_state"] = self.result
        return shape

    def _job_parameters(self, job):
        values = {**job.parameters, **self.body.get("job_parameters", {})}
        return [{"name": n, "default": job.parameters.get(n, ""), "value": v} for n, v in values.items()]


class Workspace:
    """The jobs and the runs of one workspace."""

    def __init__(self, clock, run_ids=None):
        self.clock = clock
        self.jobs = {}
        self.runs = []
        self._ids = iter(run_ids) if run_ids is not None else awkward_ids()
        self._by_id = {}
        self._by_token = {}
        self._running = {}
        self._queued = {}

    def get_run(self, run_id):
        run = self._by_id.get(run_id)
        if run is None or run.deleted:
            raise invalid(f"Run {run_id} does not exist.")
        return run

    def start(self, job, body):
        """(run, is it new) for a request that passed every rule: the token's own run, or a new one."""
        token = body.get("idempotency_token") or None
        run = self._by_token.get(token) if token is not None else None
        if run is not None and run.deleted:
            raise invalid(f"The run of idempotency_token '{token}' was deleted.")
        fresh = run is None
        if fresh:
            run = self._add(job, token, body)
            self._place(job, run)
        run.answers += 1
        return run, fresh

    def finish(self, run_id, result="SUCCESS", message="", code=None):
        """End a running or queued run, then let the oldest queued run of its job start."""
        run = self.get_run(run_id)
        if run.state not in ("RUNNING", "QUEUED"):
            raise ApiError(400, "INVALID_STATE", f"Run {run_id} is {run.state}.")
        job = self.jobs[run.job_id]
        if run.state == "QUEUED":
            self._queued[run.job_id].remove(run)
        else:
            self._running[run.job_id].discard(run.run_id)
        self._end(run, result, message, code)
        waiting = self._queued.get(run.job_id)
        while waiting and len(self._running[run.job_id]) < job.max_concurrent_runs:
            self._run(job, waiting.popleft())
        return run

    def delete(self, run_id):
        """Delete a run that has ended; its token stays taken."""
        run = self.get_run(run_id)
        if run.state in ("RUNNING", "QUEUED"):
            raise ApiError(400, "INVALID_STATE", f"Run {run_id} is {run.state}.")
        run.deleted = True
        return run

    def _add(self, job, token, body):
        run_id = next(self._ids)
        if run_id in self._by_id:
            raise RuntimeError(f"run id {run_id} was handed out twice")
        queueing = body.get("queue", {"enabled": job.queue})["enabled"]
        run = Run(run_id, job.job_id, token, body, queueing, self.clock())
        self.runs.append(run)
        self._by_id[run_id] = run
        if token is not None:
            self._by_token[token] = run
        return run

    def _place(self, job, run):
        running = self._running.setdefault(job.job_id, set())
        queued = self._queued.setdefault(job.job_id, deque())
        if len(running) < job.max_concurrent_runs:
            self._run(job, run)
        elif not run.queueing or job.max_concurrent_runs == 0:
            limit = job.max_concurrent_runs
            self._skip(run, "MAX_CONCURRENT_RUNS_EXCEEDED", "Skipping this run because the limit of "
                       f"{limit} maximum concurrent runs has been reached.")
        elif job.queue_size is not None and len(queued) >= job.queue_size:
            self._skip(run, "MAX_JOB_QUEUE_SIZE_EXCEEDED", "Skipping this run because the queue of the job is full.")
        else:
            run.state = "QUEUED"
            queued.append(run)

    def _run(self, job, run):
        run.state = "RUNNING"
        if job.auto_finish:
            self._end(run, "SUCCESS", "", None)
        else:
            self._running[job.job_id].add(run.run_id)

    def _end(self, run, result, message, code):
        run.state, run.result, run.message, run.finished = "TERMINATED", result, message, self.clock()
        run.old_state, run.code, run.kind = RESULTS[result]
        run.code = code or run.code

    def _skip(self, run, code, message):
        run.state, run.old_state, run.code, run.kind = "SKIPPED", "SKIPPED", code, "CLIENT_ERROR"
        run.result, run.message, run.finished = "MAXIMUM_CONCURRENT_RUNS_REACHED", message, self.clock()
