"""Lock 2: the archives. Each layer's archive links, whole, with the archives below it and nothing else.

The build hands over, in the environment, what its unit tests link with: BW_LINK_<layer>. So this lint sees the same
lock that every unit test is behind, but for all objects of a layer, tested or not.
"""

import os
import re
import shlex
import subprocess
import tempfile

import common


def archives(words):
    return [m.group(1) for m in (re.search(r"(?:^|/)libbw_(\w+)\.a$", w) for w in words) if m]


def check_layer(layer, words, build, scratch, report):
    allowed = {layer, *common.LAYERS[layer]}
    for name in archives(words):
        if name not in allowed:
            report.add("Makefile.am", 0, f"link_{layer} holds libbw_{name}.a: layer {layer} lies not above {name}")
    whole = [w for w in words if archives([w]) == [layer]]
    if not whole:
        report.add("Makefile.am", 0, f"link_{layer} lacks libbw_{layer}.a")
        return
    rest = [w for w in words if w not in whole]
    stub = os.path.join(scratch, "stub.c")
    with open(stub, "w", encoding="ascii") as out:
        out.write("int main(void)\n{\n\treturn 0;\n}\n")
    command = [*shlex.split(os.environ.get("CC", "cc")), *shlex.split(os.environ.get("BW_LINK_FLAGS", "")),
               "-o", os.path.join(scratch, "whole"), stub,
               "-Wl,--whole-archive", *whole, "-Wl,--no-whole-archive", *rest]
    done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        report.add(whole[0], 0, "does not link with the layers below alone:\n" + done.stdout.strip())


def check(top, report):
    build = os.environ.get("BW_BUILD")
    if not build:
        common.skip("BW_BUILD names no build folder (run by make check)")
    for layer in common.LAYERS:
        words = shlex.split(os.environ.get(f"BW_LINK_{layer}", ""))
        if not words:
            report.add("Makefile.am", 0, f"gives no BW_LINK_{layer}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            check_layer(layer, words, build, scratch, report)


common.main("archive lock", check)
