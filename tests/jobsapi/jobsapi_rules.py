"""What the Jobs API accepts: the shape of run-now, as pure functions.

Nothing here knows of sockets, runs or time.  A request that breaks a rule raises ApiError, which carries the
status, the code and the words of the answer.  Things that are odd but not refused come back as findings.

Where the public documents are silent the stand-in takes the strict side, so that a client which passes here has
no reason to fail there: unknown fields, duplicate names, null and numbers written as 1e+15 are refused.
"""

import json
import re
from json.decoder import scanstring

MAX_BODY_BYTES = 10_000_000
MAX_LEGACY_BYTES = 10_000
MAX_TOKEN_CHARS = 64
MAX_INT64 = 9223372036854775807
MAX_DBT_COMMANDS = 10

# Six pairs were seen refused by the service; sql_params and pipeline_params were not among those tried.
NOT_WITH_JOB_PARAMETERS = ("notebook_params", "python_params", "jar_params", "spark_submit_params",
                           "python_named_params", "dbt_commands")
LEGACY_LIMITED = ("notebook_params", "jar_params", "python_params", "spark_submit_params")
ASCII_ONLY = ("python_params", "spark_submit_params")
PARAMETER_FIELDS = ("job_parameters",) + NOT_WITH_JOB_PARAMETERS + ("sql_params", "pipeline_params")
PERFORMANCE_TARGETS = ("PERFORMANCE_OPTIMIZED", "STANDARD", "COST_OPTIMIZED")

_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class ApiError(Exception):
    """An answer in the error shape of the API.  A code of None leaves error_code out."""

    def __init__(self, status, code, message, details=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.details = status, code, message, details

    def body(self):
        shape = {} if self.code is None else {"error_code": self.code}
        shape["message"] = self.message
        if self.details is not None:
            shape["details"] = self.details
        return json.dumps(shape).encode()


def invalid(message):
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def malformed(message):
    return ApiError(400, "MALFORMED_REQUEST", message)


def unexpected(expected, field, value):
    return malformed(f"Could not parse request object: Expected {expected} for field {field}, "
                     f"found {json_type(value)}")


# --- JSON -------------------------------------------------------------------------------------------------------------

class NotInteger(str):
    """The text of a JSON number with a fraction, an exponent, or beyond 64 bits."""


def _integer(text):
    return int(text) if len(text) <= 20 and -MAX_INT64 - 1 <= int(text) <= MAX_INT64 else NotInteger(text)


def _pairs(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate name in an object")
    return result


def _constant(text):
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=NotInteger, parse_int=_integer, parse_constant=_constant,
                            object_pairs_hook=_pairs)


def json_type(value):
    if isinstance(value, bool):
        return "BOOLEAN"
    for kind, name in ((NotInteger, "NUMBER"), (str, "STRING"), (int, "NUMBER"), (dict, "OBJECT"), (list, "ARRAY")):
        if isinstance(value, kind):
            return name
    return "NULL"


def is_string(value):
    return isinstance(value, str) and not isinstance(value, NotInteger)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def parse_object(raw):
    """The JSON object in the bytes raw; ApiError MALFORMED_REQUEST for anything else."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        if _SURROGATE_ESCAPE.search(raw):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise malformed(f"Could not parse request object: {type(problem).__name__}: {problem}") from None
    if not isinstance(value, dict):
        raise malformed("Invalid JSON given in the body of the request - expected a map")
    return value


def field_bytes(raw, name):
    """Bytes of {"name":value} with the value written as it was sent, which is how the limit is counted.

    The object in raw must have passed parse_object().  A path costs less in plain UTF-8 than as \\uXXXX.
    """
    text = raw.decode("utf-8")
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] == '"':
        key, at = scanstring(text, at + 1)
        start = _skip(text, _skip(text, at) + 1)
        end = _DECODER.raw_decode(text, start)[1]
        if key == name:
            return len(f'{{"{name}":{text[start:end]}}}'.encode())
        at = _skip(text, _skip(text, end) + 1)
    raise KeyError(name)


def _skip(text, at):
    return _SPACE.match(text, at).end()


# --- run-now ----------------------------------------------------------------------------------------------------------

def _check_job_id(field, value):
    if not is_integer(value):
        raise unexpected("an int64", field, value)
    if value < 1:
        raise invalid(f"{field} must be a positive number, found {value}")


def _check_token(field, value):
    if not is_string(value):
        raise unexpected("string", field, value)
    if len(value) > MAX_TOKEN_CHARS:
        raise invalid(f"{field} must be at most {MAX_TOKEN_CHARS} characters, found {len(value)}")


def _check_queue(field, value):
    if not isinstance(value, dict):
        raise unexpected("object", field, value)
    for name in value:
        if name != "enabled":
            raise malformed(f"Could not parse request object: unknown field {field}.{name}")
    if "enabled" not in value:
        raise invalid(f"Missing required field: {field}.enabled")
    if not isinstance(value["enabled"], bool):
        raise unexpected("boolean", f"{field}.enabled", value["enabled"])


def _check_strings(field, value):
    if not isinstance(value, list):
        raise unexpected("array", field, value)
    for item in value:
        if not is_string(item):
            raise unexpected("string", field, item)


def _check_map(field, value):
    if not isinstance(value, dict):
        raise unexpected("object", field, value)
    for name, item in value.items():
        if not is_string(item):
            raise unexpected("string", f"{field}.{name}", item)


def _check_job_parameters(field, value):
    _check_map(field, value)
    for name in value:
        if not _PARAMETER_NAME.fullmatch(name):
            raise invalid(f"{field}: the name {name!r} may hold only letters, digits, _, - and .")


def _check_ascii(field, value):
    _check_strings(field, value)
    if not all(item.isascii() for item in value):
        raise invalid(f"{field} may hold only ASCII characters")


def _check_dbt(field, value):
    _check_strings(field, value)
    if len(value) > MAX_DBT_COMMANDS:
        raise invalid(f"{field} may hold at most {MAX_DBT_COMMANDS} commands")
    if not all(item.split(" ", 1)[0] == "dbt" for item in value):
        raise invalid(f"{field}: every command must start with dbt")


def _check_pipeline(field, value):
    if not isinstance(value, dict):
        raise unexpected("object", field, value)
    lists = ("refresh_selection", "full_refresh_selection", "reset_checkpoint_selection", "refresh_flow_selection")
    for name, item in value.items():
        if name in lists:
            _check_strings(f"{field}.{name}", item)
        elif name != "full_refresh":
            raise malformed(f"Could not parse request object: unknown field {field}.{name}")
        elif not isinstance(item, bool):
            raise unexpected("boolean", f"{field}.{name}", item)


def _check_target(field, value):
    if not is_string(value):
        raise unexpected("string", field, value)
    if value not in PERFORMANCE_TARGETS:
        raise invalid(f"{field} must be one of {', '.join(PERFORMANCE_TARGETS)}, found {value!r}")


RUN_NOW_FIELDS = {
    "job_id": _check_job_id,
    "idempotency_token": _check_token,
    "queue": _check_queue,
    "only": _check_strings,
    "performance_target": _check_target,
    "job_parameters": _check_job_parameters,
    "notebook_params": _check_map,
    "python_named_params": _check_map,
    "sql_params": _check_map,
    "jar_params": _check_strings,
    "python_params": _check_ascii,
    "spark_submit_params": _check_ascii,
    "dbt_commands": _check_dbt,
    "pipeline_params": _check_pipeline,
}


# What came later: https://docs.databricks.com/reference/jobs-api-updates.html
SINCE = {"job_parameters": "2.1", "python_named_params": "2.1", "sql_params": "2.1", "dbt_commands": "2.1",
         "pipeline_params": "2.1", "only": "2.2", "performance_target": "2.2"}


def read_run_now(raw, version="2.2"):
    """The body of a run-now whose every field has the right shape, size and company."""
    body = parse_object(raw)
    for field, value in body.items():
        if field not in RUN_NOW_FIELDS or SINCE.get(field, version) > version:
            raise malformed(f"Could not parse request object: unknown field {field}")
        RUN_NOW_FIELDS[field](field, value)
    if "job_id" not in body:
        raise invalid("Missing required field: job_id")
    _check_company(body)
    for field in LEGACY_LIMITED:
        if field in body and (size := field_bytes(raw, field)) > MAX_LEGACY_BYTES:
            raise invalid(f"The JSON representation of {field} may not exceed {MAX_LEGACY_BYTES} bytes, found {size}")
    return body


def _check_company(body):
    if "job_parameters" in body:
        for field in NOT_WITH_JOB_PARAMETERS:
            if field in body:
                raise invalid(f"job_parameters can not be used in combination with {field}")
    if "notebook_params" in body and "jar_params" in body:
        raise invalid("notebook_params can not be used in combination with jar_params")


def compare_with_job(body, defined):
    """Misfits between the request and the parameter names the job defines, as a list of sentences.

    The official client refuses these before it sends; what the service does is not published.
    """
    job_id = body["job_id"]
    misfits = [f"Job {job_id} does not define the parameter '{name}'."
               for name in body.get("job_parameters", ()) if name not in defined]
    if defined:
        misfits += [f"Job {job_id} defines job parameters and can not be run with {field}."
                    for field in NOT_WITH_JOB_PARAMETERS if field in body]
    return misfits


def notice_oddities(body):
    """Sentences about things the service takes without a word but a careful client avoids."""
    oddities = []
    if not body.get("idempotency_token"):
        oddities.append("no idempotency_token: a retry would start a second run")
    for field in PARAMETER_FIELDS:
        values = body.get(field, ())
        values = values.values() if isinstance(values, dict) else values
        if any(is_string(value) and "{{" in value for value in values):
            oddities.append(f"{field} holds '{{{{', which the service reads as a dynamic value reference")
    return oddities


def read_id(query, name):
    """The positive int64 that the query parameter name must hold exactly once."""
    values = query.get(name, [])
    if len(values) != 1 or not re.fullmatch(r"[1-9][0-9]{0,18}", values[0]) or int(values[0]) > MAX_INT64:
        raise invalid(f"{name} must be given once, as a positive 64-bit number")
    return int(values[0])
