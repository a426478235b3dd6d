"""flake8 finds nothing in any Python file of the tree."""

import subprocess
import sys

import common


def is_python(top, path):
    if path.endswith(".py"):
        return True
    with open(f"{top}/{path}", "rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python3" in first


def check(top, report):
    flake8 = [sys.executable, "-m", "flake8"]
    if subprocess.run([*flake8, "--version"], capture_output=True, check=False).returncode != 0:
        common.skip("no flake8 here")
    files = [p for p in common.tree_files(top) if is_python(top, p)]
    done = subprocess.run([*flake8, "--isolated", "--max-line-length=120", *files], cwd=top, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        report.add("flake8", 0, "\n" + done.stdout.strip())


common.main("flake8", check)
