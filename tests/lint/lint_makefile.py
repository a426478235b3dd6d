"""Makefile.am forgets nothing: every file is listed, in its layer's archive, behind its test's lock."""

import re

import common


# Here a folder in EXTRA_DIST is not enough: each source is named.
COMPILED = ("include", "watcher", "tests/unit", "tests/sim", "tests/fuzz")

# What must be run: pattern of its path, the variable that must name it, what is cut off its name.
RUN = (
    (r"tests/lint/lint_\w+\.py$", "lint_tests", 0),
    (r"tests/sim/.*\.sim$", "sim_tests", 0),
    (r"tests/sim/sim_\w+\.c$", "sim_programs", 2),
    (r"tests/fuzz/fuzz_\w+\.c$", "fuzz_tests", 2),
)


def in_folders(path, folders):
    return any(path.startswith(f + "/") for f in folders)


def check_listed(top, files, variables, report):
    lists = [ws for name, ws in variables.items()
             if re.search(r"^EXTRA_DIST$|^(nobase_)?dist_|_SOURCES$|_main$|^copied_", name)]
    words = {w for ws in lists for w in ws}
    # Without a _SOURCES of its own a program has one source of its name.
    for name in ("unit_tests", "sim_programs"):
        words |= {w + ".c" for w in variables.get(name, ()) if not variables.get(re.sub(r"\W", "_", w) + "_SOURCES")}
    files_set = set(files)
    folders = [w for w in variables.get("EXTRA_DIST", ()) if w not in files_set]
    for folder in folders:
        if not any(f.startswith(folder + "/") for f in files):
            report.add("Makefile.am", 0, f"EXTRA_DIST names {folder}, which is not there")
    for path in files:
        is_source = path.endswith((".c", ".h")) and in_folders(path, COMPILED)
        if path in words or path in ("Makefile.am", "configure.ac"):
            continue
        if is_source or not in_folders(path, folders):
            report.add(path, 0, "is not listed in Makefile.am")
    for word in sorted(words):
        if re.search(r"^[\w./-]+\.[ch]$", word) and word not in files_set:
            report.add("Makefile.am", 0, f"lists {word}, which is not there")


def check_archives(files, variables, report):
    for layer in common.LAYERS:
        listed = {w for w in variables.get(f"libbw_{layer}_a_SOURCES", ()) if w.endswith((".c", ".h"))}
        there = {f for f in files if re.match(rf"(include|watcher)/{layer}/[^/]+\.[ch]$", f)}
        for path in sorted(there ^ listed):
            report.add(path, 0, f"libbw_{layer}_a_SOURCES must hold exactly the files of its layer")


def check_unit_tests(files, variables, report):
    for path in files:
        match = re.match(r"tests/unit/(test_([a-z0-9]+)_\w+)\.c$", path)
        if not match:
            if re.match(r"tests/unit/test_\w+\.c$", path):
                report.add(path, 0, "name it tests/unit/test_<layer>_<module>.c")
            continue
        name, layer = match.groups()
        if layer not in common.LAYERS:
            report.add(path, 0, f"there is no layer {layer}")
            continue
        if path[:-2] not in variables.get("unit_tests", ()):
            report.add(path, 0, f"unit_tests of Makefile.am lacks {path[:-2]}")
        lock = [f"$(link_{layer})", "$(CMOCKA_LIBS)"]
        if variables.get(f"tests_unit_{name}_LDADD") != lock:
            report.add(path, 0, f"tests_unit_{name}_LDADD must be {' '.join(lock)}: its layer and those below")


def check(top, report):
    files = common.tree_files(top)
    variables = common.make_variables(common.read_text(top, "Makefile.am"))
    check_listed(top, files, variables, report)
    check_archives(files, variables, report)
    check_unit_tests(files, variables, report)
    for path in files:
        for pattern, name, cut in RUN:
            word = path[:-cut] if cut else path
            if re.match(pattern, path) and word not in variables.get(name, ()):
                report.add(path, 0, f"{name} of Makefile.am lacks {word}")


common.main("Makefile.am lists everything", check)
