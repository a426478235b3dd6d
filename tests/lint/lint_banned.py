"""Functions that are not used here, each with what to take instead."""

import re

import common

BANNED = {
    "sprintf": "snprintf or base/buf",
    "vsprintf": "vsnprintf or base/buf",
    "strcpy": "base/buf or memcpy with a checked length",
    "stpcpy": "base/buf",
    "strcat": "base/buf",
    "strncpy": "base/text, it leaves no NUL",
    "strtok": "a loop over the text",
    "atoi": "base/num, it cannot fail",
    "atol": "base/num, it cannot fail",
    "atoll": "base/num, it cannot fail",
    "atof": "base/num, it cannot fail",
    "gets": "fgets",
    "system": "posix_spawn or fork and exec",
    "popen": "posix_spawn or fork and exec",
    "alloca": "base/mem, a bound on the stack",
    "usleep": "base/loop's timers: the loop is the only place that waits",
    "tmpnam": "mkstemp",
    "tempnam": "mkstemp",
    "mktemp": "mkstemp",
    "access": "open it and see (the answer is old when it comes)",
    "pthread_create": "a process: there are no threads of ours",
    "thrd_create": "a process: there are no threads of ours",
}
_CALL = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(BANNED) + r")\s*\(")


def check(top, report):
    for path in common.c_files(top):
        code = common.code_only(common.read_text(top, path))
        for match in _CALL.finditer(code):
            name = match.group(1)
            report.add(path, code.count("\n", 0, match.start()) + 1, f"{name}() is banned: {BANNED[name]}")


common.main("banned functions", check)
