"""clang-format decides the layout. The version is fixed: another one lays out otherwise."""

import shutil
import subprocess

import common

VERSION = "14"


def check(top, report):
    program = shutil.which(f"clang-format-{VERSION}")
    if not program:
        common.skip(f"no clang-format {VERSION} here")
    command = [program, "--style=file", "--dry-run", "-Werror", "--ferror-limit=1", *common.c_files(top)]
    done = subprocess.run(command, cwd=top, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return
    for line in done.stdout.split("\n"):
        parts = line.split(":")
        if "error:" in line and len(parts) > 2:
            report.add(parts[0], parts[1], f"layout differs; {program.rsplit('/', 1)[-1]} -i mends it")
    if not report.found:
        report.add("clang-format", 0, done.stdout)


common.main("layout", check)
