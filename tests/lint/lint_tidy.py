"""clang-tidy, with the checks that .clang-tidy names, finds nothing in the program."""

import concurrent.futures
import os
import shutil
import subprocess

import common

VERSION = "14"
# Small functions are looked into even where the analyzer would rather guess: most of ours are small.
ANALYZER = ["-Xclang", "-analyzer-config", "-Xclang", "ipa-always-inline-size=30"]


def tidy(program, top, path):
    command = [program, "--quiet", "--warnings-as-errors=*", path, "--", "-std=gnu11", "-D_GNU_SOURCE", "-Iinclude",
               *common.c_defines(), *ANALYZER]
    done = subprocess.run(command, cwd=top, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return None if done.returncode == 0 else (done.stdout.strip() or done.stderr.strip())


def check(top, report):
    common.asked_to_skip("tidy")
    program = shutil.which(f"clang-tidy-{VERSION}")
    if not program:
        common.skip(f"no clang-tidy {VERSION} here")
    files = common.c_files(top, "watcher", suffixes=(".c",))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, finding in zip(files, pool.map(lambda p: tidy(program, top, p), files)):
            if finding:
                report.add(path, 0, "\n" + finding)


common.main("clang-tidy", check)
