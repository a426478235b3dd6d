"""The finished program: the libraries it asks for, its hardening, and no path of the build machine inside."""

import os
import re
import shutil
import subprocess

import common

MAY_NEED = {"libcurl", "libcjson", "libinih", "libsqlite3", "libcrypto", "libssl", "libz", "libmagic", "libseccomp",
            "libc"}


def readelf(program, *options):
    return subprocess.run(["readelf", "-W", *options, program], stdout=subprocess.PIPE, text=True, check=True).stdout


def check_libraries(program, report):
    dynamic = readelf(program, "-d")
    needed = set(re.findall(r"\(NEEDED\).*\[([^\]]+?)\.so", dynamic))
    for name in sorted(needed - MAY_NEED):
        report.add(program, 0, f"needs {name}, which is not on the list")
    for name in sorted(MAY_NEED - needed):
        report.add(program, 0, f"does not need {name}: is the list of this lint still true?")
    if "(RPATH)" in dynamic or "(RUNPATH)" in dynamic:
        report.add(program, 0, "has an RPATH")
    return dynamic


def check_hardening(program, dynamic, report):
    if "BIND_NOW" not in dynamic and "NOW" not in dynamic:
        report.add(program, 0, "is linked without -z now")
    if "PIE" not in dynamic:
        report.add(program, 0, "is not position independent")
    segments = readelf(program, "-l")
    if "GNU_RELRO" not in segments:
        report.add(program, 0, "has no RELRO segment")
    if re.search(r"GNU_STACK.*RWE", segments):
        report.add(program, 0, "has an executable stack")
    symbols = readelf(program, "--dyn-syms")
    if "__stack_chk_fail" not in symbols:
        report.add(program, 0, "has no stack protector")
    if not re.search(r"__\w+_chk\b(?<!__stack_chk)", symbols.replace("__stack_chk_fail", "")):
        report.add(program, 0, "has no fortified call")


def check_places(program, places, report):
    with open(program, "rb") as file:
        content = file.read()
    for place in sorted({os.path.realpath(p) for p in places}):
        if place.encode() + b"/" in content:
            report.add(program, 0, f"holds the path of its build: {place}/")


def check(top, report):
    build = os.environ.get("BW_BUILD")
    if not build or not os.path.exists(f"{build}/brickwatch"):
        common.skip("no built program (run by make check)")
    if not shutil.which("readelf"):
        common.skip("no readelf here")
    program = f"{build}/brickwatch"
    check_places(program, [top, build], report)
    if os.environ.get("BW_SANITIZED"):
        return
    check_hardening(program, check_libraries(program, report), report)


common.main("the program file", check)
