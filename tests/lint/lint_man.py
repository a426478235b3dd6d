"""mandoc finds nothing to warn about in the manual pages."""

import shutil
import subprocess

import common


def check(top, report):
    if not shutil.which("mandoc"):
        common.skip("no mandoc here")
    pages = [p for p in common.tree_files(top) if p.startswith("man/")]
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], cwd=top, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        report.add("mandoc", 0, "\n" + done.stdout.strip())


common.main("manual pages", check)
