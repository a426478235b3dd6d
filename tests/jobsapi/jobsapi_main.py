"""The stand-in as a program; run it as jobsapi.py."""

import argparse
import json
import signal
import sys
import threading

from jobsapi import Job, JobsApi

_SWITCH = {"on": True, "yes": True, "off": False, "no": False}


def read_job(text):
    """A Job from ID[:NAME,NAME...[:KEY=VALUE,KEY=VALUE...]]."""
    number, _, rest = text.partition(":")
    names, _, options = rest.partition(":")
    job = Job(int(number), [name for name in names.split(",") if name])
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "max":
            job.max_concurrent_runs = int(value)
        elif key in ("queue", "finish") and value in _SWITCH:
            setattr(job, "queue" if key == "queue" else "auto_finish", _SWITCH[value])
        elif key == "name":
            job.name = value
        elif key == "task":
            job.task_type = value
        else:
            raise ValueError(f"unknown option {option!r} of job {number}")
    return job


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def show_run(run):
    """One line for people about a new run; control characters in values are shown escaped."""
    values = run.parameters
    if isinstance(values, dict):
        words = [f"{name}={value}" for name, value in values.items()]
    else:
        words = [json.dumps(values, ensure_ascii=False)]
    text = "  ".join([f"run {run.run_id}", f"job {run.job_id}", *words])
    print("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), flush=True)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="jobsapi.py", description="A stand-in of the Databricks Jobs API.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes any")
    parser.add_argument("--job", type=read_job, nargs="+", action="extend", default=[],
                        metavar="ID[:NAME,...[:KEY=VALUE,...]]",
                        help="a job and its parameters; keys: max, queue=on|off, finish=on|off, name, task")
    parser.add_argument("--token-file", help="bearer tokens, one a line")
    parser.add_argument("--client-file", help="OAuth clients, one id:secret a line")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="serve HTTPS")
    parser.add_argument("--record", metavar="FILE", help="append every request as a JSON line, without secrets")
    parser.add_argument("--keep", type=int, default=10000, help="requests to remember for /_control/requests")
    parser.add_argument("--fault", type=json.loads, action="append", default=[], metavar="JSON",
                        help='a fault from the start, as for POST /_control/fault: {"kind":"status","status":503}')
    parser.add_argument("--lenient", action="store_true", help="accept parameters the job does not define")
    parser.add_argument("--missing-job", type=int, choices=(400, 404), default=400, help="status for an unknown job")
    parser.add_argument("--print-url", action="store_true", help='print "ready URL" when listening')
    parser.add_argument("--show", action="store_true", help="print one line per run")
    options = parser.parse_args(arguments)
    if not options.token_file and not options.client_file:
        parser.error("--token-file or --client-file is needed")
    return options


def make_api(options):
    clients = dict(line.split(":", 1) for line in read_lines(options.client_file)) if options.client_file else {}
    tokens = read_lines(options.token_file) if options.token_file else []
    api = JobsApi(options.job, tokens=tokens, clients=clients, port=options.port, tls=options.tls,
                  record=options.record, keep=options.keep, lenient=options.lenient, missing_job=options.missing_job,
                  on_run=show_run if options.show else None)
    for fault in options.fault:
        api.fault(**fault)
    return api


def main(arguments=None):
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    options = parse_arguments(arguments)
    api = make_api(options).start()
    if options.print_url:
        print(f"ready {api.url}", flush=True)
    ended.wait()
    try:
        api.stop()
    except RuntimeError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0
