"""clang-tidy, with the checks that .clang-tidy names, finds nothing in the program."""

import concurrent.futures
import os
import shutil
import subprocess

import common

VERSION = "14"
# Small functions are looked into even where the analyzer would rather guess: most of ours are small. It looks at new
# code first, so that a third of the steps it would take goes through as much of the code; BW_LONG=1 gives it all.
CONFIG = ["ipa-always-inline-size=30"] + ([] if os.environ.get("BW_LONG", "") not in ("", "0") else ["max-nodes=75000"])
ANALYZER = [word for one in CONFIG for word in ("-Xclang", "-analyzer-config", "-Xclang", one)]


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
    files.sort(key=lambda path: -os.path.getsize(os.path.join(top, path)))  # nobody waits for the longest at the end
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, finding in zip(files, pool.map(lambda p: tidy(program, top, p), files)):
            if finding:
                report.add(path, 0, "\n" + finding)


common.main("clang-tidy", check)
