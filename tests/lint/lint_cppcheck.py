"""cppcheck finds nothing in the program (tests do wrong things on purpose).

A finding that is wrong is silenced inline, with a reason (lint_excuses).
"""

import os
import shutil
import subprocess

import common

OPTIONS = [
    "--enable=warning,performance,portability", "--std=c11", "--library=posix,gnu", "--inline-suppr", "--quiet",
    "--error-exitcode=1", "--template={file}:{line}: {severity}: {id}: {message}", "-Iinclude", "-D_GNU_SOURCE",
    # So that it sees that BUG_ON does not come back.
    "-D__builtin_expect(value,likely)=(value)", "-Derr_bug(file,line,what)=abort()",
    # There are no threads, and glibc's own advice is not to use readdir_r(3).
    "--suppress=readdirCalled", "--suppress=getpwuidCalled", "--suppress=getpwnamCalled", "--suppress=getgrgidCalled",
    # It does not see __attribute__((cleanup)): every CLEANUP_FD is a leak to it. ASan and valgrind see the real ones.
    "--suppress=resourceLeak",
]


def check(top, report):
    common.asked_to_skip("cppcheck")
    if not shutil.which("cppcheck"):
        common.skip("no cppcheck here")
    defines = [d for d in common.c_defines() if d.startswith("-D")]
    files = common.c_files(top, "watcher", suffixes=(".c",))
    done = subprocess.run(["cppcheck", *OPTIONS, *defines, f"-j{os.cpu_count()}", *files], cwd=top, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        report.add("cppcheck", 0, "\n" + done.stdout.strip())


common.main("cppcheck", check)
