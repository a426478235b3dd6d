"""shellcheck finds nothing in any script of the tree."""

import re
import shutil
import subprocess

import common


def is_script(top, path):
    if path.endswith(".sh"):
        return True
    with open(f"{top}/{path}", "rb") as file:
        return bool(re.match(rb"#!\s*/\S*?(env )?\s*(ba|da)?sh\b", file.readline(200)))


def check(top, report):
    if not shutil.which("shellcheck"):
        common.skip("no shellcheck here")
    files = [p for p in common.tree_files(top) if is_script(top, p)]
    done = subprocess.run(["shellcheck", "--external-sources", "--format=gcc", *files], cwd=top, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        report.add("shellcheck", 0, "\n" + done.stdout.strip())


common.main("shellcheck", check)
