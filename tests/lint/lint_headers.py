"""Lock 4: every header compiles alone (twice in one file, too) and is the first include of its .c file."""

import concurrent.futures
import os
import shlex
import subprocess

import common


def compiles_alone(top, header):
    """The compiler's complaint, or None."""
    name = header[len("include/"):]
    command = [*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-D_GNU_SOURCE", "-Iinclude",
               "-Wall", "-Wextra", "-Wstrict-prototypes", "-Werror", "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(command, cwd=top, input=f'#include "{name}"\n#include "{name}"\n', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.strip() if done.returncode != 0 else None


def own_header(top, path):
    """core/settle.h for watcher/core/settle.c; a module in several files (conf.c, conf_print.c) has one header, a verb
    of the command line has cli/cli.h."""
    layer, name = path[len("watcher/"):-2].split("/", 1)
    parts = name.split("_")
    names = ["_".join(parts[:n]) for n in range(len(parts), 0, -1)] + (["cli"] if layer == "cli" else [])
    return next((f"{layer}/{n}.h" for n in names if os.path.exists(f"{top}/include/{layer}/{n}.h")), None)


def check_first_include(top, path, report):
    own = own_header(top, path)
    if not own:
        report.add(path, 1, f"has no header include/{path[len('watcher/'):-2]}.h")
        return
    found = common.includes(common.read_text(top, path))
    if not found or found[0][1:] != ("quote", own):
        report.add(path, found[0][0] if found else 1, f"the first include must be \"{own}\"")


def check(top, report):
    headers = common.c_files(top, "include", suffixes=(".h",))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, complaint in zip(headers, pool.map(lambda h: compiles_alone(top, h), headers)):
            if complaint:
                report.add(header, 1, "does not compile alone:\n" + complaint)
    for path in common.c_files(top, "watcher", suffixes=(".c",)):
        if path != "watcher/main.c":
            check_first_include(top, path, report)


common.main("headers alone and first", check)
