"""Each lint finds the mistake it is there for: in a small clean tree, where one mistake is planted."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]

ERR_H = """#ifndef BASE_ERR_H
#define BASE_ERR_H
int err_set(int code);
#endif
"""
ERR_C = """#include "base/err.h"

int err_set(int code)
{
\treturn -code;
}
"""
SETTLE_H = """#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H
int settle_due(int now);
#endif
"""
SETTLE_C = """#include "core/settle.h"

#include <stdio.h>
#include "base/err.h"

int settle_due(int now)
{
\treturn now > 1 ? 0 : err_set(now);
}
"""
WALK_H = """#ifndef SENSE_WALK_H
#define SENSE_WALK_H
int walk_tree(void);
#endif
"""
WALK_C = """#include "sense/walk.h"

#include "core/settle.h"

int walk_tree(void)
{
\treturn settle_due(2);
}
"""
MAKEFILE = """libbw_base_a_SOURCES = \\
\tinclude/base/err.h \\
\twatcher/base/err.c
libbw_core_a_SOURCES = include/core/settle.h watcher/core/settle.c
libbw_sense_a_SOURCES = include/sense/walk.h watcher/sense/walk.c
unit_tests = tests/unit/test_core_settle
tests_unit_test_core_settle_LDADD = $(link_core) $(CMOCKA_LIBS)
tests_unit_test_core_settle_SOURCES = tests/unit/test_core_settle.c
EXTRA_DIST = doc .clang-format .clang-tidy
"""
UNIT = """#include "core/settle.h"

#include <cmocka.h>

int main(void)
{
\treturn settle_due(5);
}
"""
TREE = {
    "include/base/err.h": ERR_H,
    "watcher/base/err.c": ERR_C,
    "include/core/settle.h": SETTLE_H,
    "watcher/core/settle.c": SETTLE_C,
    "include/sense/walk.h": WALK_H,
    "watcher/sense/walk.c": WALK_C,
    "tests/unit/test_core_settle.c": UNIT,
    "Makefile.am": MAKEFILE,
    "doc/note.md": "Nothing.\n",
}


@pytest.fixture(name="tree")
def _tree(tmp_path):
    for path, text in TREE.items():
        plant(tmp_path, path, text)
    for name in (".clang-format", ".clang-tidy"):
        shutil.copy(TOP / name, tmp_path / name)
    return tmp_path


def plant(tree, path, text):
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def plant_after(tree, path, old, new):
    text = (tree / path).read_text(encoding="utf-8")
    assert old in text
    plant(tree, path, text.replace(old, new, 1))


def run_lint(name, tree, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BW_")}
    done = subprocess.run([sys.executable, "-B", str(HERE / f"lint_{name}.py"), "--top", str(tree)],
                          env={**clean, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stdout)
    return done.returncode, done.stdout


def assert_clean(name, tree, **environment):
    code, output = run_lint(name, tree, **environment)
    assert code == 0, output


def assert_finds(name, tree, *words, **environment):
    code, output = run_lint(name, tree, **environment)
    assert code == 1, output
    for word in words:
        assert word in output


# ---- lock 1: include graph

def test_include_graph_clean(tree):
    assert_clean("includes", tree)


@pytest.mark.parametrize("path, line, word", [
    ("watcher/base/err.c", '#include "core/settle.h"', "layer base may not include layer core"),
    ("include/base/err.h", '#include "core/settle.h"', "layer base may not include layer core"),
    ("watcher/core/settle.c", '#include "sense/walk.h"', "layer core may not include layer sense"),
    ("watcher/core/settle.c", "#include <base/err.h>", "in quotes"),
    ("watcher/core/settle.c", '#include "err.h"', "there is no include/err.h"),
    ("watcher/core/settle.c", '#include "../base/err.h"', "there is no include/"),
    ("watcher/core/settle.c", "#include HEADER", "macro"),
    ("watcher/core/settle.c", '#  include   "sense/walk.h"', "layer core may not include layer sense"),
    ("tests/unit/test_core_settle.c", '#include "sense/walk.h"', "layer core may not include layer sense"),
])
def test_include_graph_planted(tree, path, line, word):
    text = (tree / path).read_text(encoding="utf-8")
    plant(tree, path, line + "\n" + text)
    assert_finds("includes", tree, path, word)


def test_include_graph_process_layers_are_apart(tree):
    plant(tree, "include/sniff/magic.h", "int magic_ask(void);\n")
    plant_after(tree, "watcher/sense/walk.c", '#include "core/settle.h"', '#include "sniff/magic.h"')
    assert_finds("includes", tree, "watcher/sense/walk.c:3", "layer sense may not include layer sniff")


def test_include_graph_commented_out_is_nothing(tree):
    plant_after(tree, "watcher/base/err.c", "int err_set", '/*\n#include "core/settle.h"\n*/\nint err_set')
    assert_clean("includes", tree)


def test_include_graph_cycle(tree):
    plant(tree, "include/core/version.h", '#include "core/settle.h"\n')
    plant_after(tree, "include/core/settle.h", "int settle", '#include "core/version.h"\nint settle')
    assert_finds("includes", tree, "core/settle.h -> core/version.h -> core/settle.h")


def test_include_graph_unknown_layer(tree):
    plant(tree, "watcher/util/misc.c", "int misc;\n")
    assert_finds("includes", tree, "is in no layer")


# ---- lock 2: archives

LAYERS = ("base", "core", "confine", "keep", "sniff", "sense", "dispatch", "cli")


def build_archives(tree):
    """Archives of the small tree, empty where it has no code, and what make check would hand over."""
    sources = {"base": "err", "core": "settle", "sense": "walk"}
    for layer in LAYERS:
        objects = []
        if layer in sources:
            source = f"watcher/{layer}/{sources[layer]}.c"
            objects = [str(tree / f"{layer}.o")]
            subprocess.run(["cc", "-Iinclude", "-c", "-o", objects[0], source], cwd=tree, check=True)
        subprocess.run(["ar", "cr", f"libbw_{layer}.a", *objects], cwd=tree, check=True)
    links = {"base": "libbw_base.a", "core": "libbw_core.a libbw_base.a"}
    links["confine"] = "libbw_confine.a " + links["core"]
    for layer in ("keep", "sniff", "sense", "dispatch"):
        links[layer] = f"libbw_{layer}.a {links['confine']}"
    links["cli"] = " ".join(f"libbw_{layer}.a" for layer in reversed(LAYERS))
    return {"BW_BUILD": str(tree), **{f"BW_LINK_{layer}": words for layer, words in links.items()}}


def test_archives_clean(tree):
    assert_clean("link", tree, **build_archives(tree))


def test_archives_upward_reference_does_not_link(tree):
    # No include line to see: the function is declared by hand.
    plant_after(tree, "watcher/core/settle.c", "int settle_due", "int walk_tree(void);\n\nint settle_due")
    plant_after(tree, "watcher/core/settle.c", "err_set(now)", "walk_tree()")
    assert_clean("includes", tree)
    assert_finds("link", tree, "libbw_core.a", "undefined reference to `walk_tree'", **build_archives(tree))


def test_archives_unit_test_with_upward_reference_does_not_link(tree):
    plant_after(tree, "watcher/core/settle.c", "int settle_due", "int walk_tree(void);\n\nint settle_due")
    plant_after(tree, "watcher/core/settle.c", "err_set(now)", "walk_tree()")
    links = build_archives(tree)
    unit = ["cc", "-Iinclude", "-x", "c", "-", "-o", "unit", "-x", "none"]
    program = '#include "core/settle.h"\nint main(void)\n{\n\treturn settle_due(5);\n}\n'
    below = subprocess.run([*unit, *links["BW_LINK_core"].split()], cwd=tree, input=program, text=True,
                           stderr=subprocess.PIPE, check=False)
    assert below.returncode != 0
    assert "walk_tree" in below.stderr
    # With the layer above it would link: it is the lock that holds, not something else.
    above = subprocess.run([*unit, "-Wl,--start-group", *links["BW_LINK_sense"].split(), "-Wl,--end-group"], cwd=tree,
                           input=program, text=True, stderr=subprocess.PIPE, check=False)
    assert above.returncode == 0, above.stderr


def test_archives_link_line_that_opens_the_lock(tree):
    links = build_archives(tree)
    links["BW_LINK_core"] += " libbw_sense.a"
    assert_finds("link", tree, "link_core holds libbw_sense.a", **links)


# ---- lock 3: third-party headers

def test_foreign_clean(tree):
    assert_clean("foreign", tree)


@pytest.mark.parametrize("path, header, word", [
    ("watcher/sense/walk.c", "curl/curl.h", "only watcher/dispatch/exchange.c may"),
    ("include/core/settle.h", "cjson/cJSON.h", "only watcher/base/json.c may"),
    ("watcher/core/settle.c", "glib.h", "neither the C library's nor a library brickwatch uses"),
])
def test_foreign_planted(tree, path, header, word):
    plant(tree, path, (tree / path).read_text(encoding="utf-8") + f"#include <{header}>\n")
    assert_finds("foreign", tree, path, word)


def test_foreign_at_its_place(tree):
    plant(tree, "watcher/dispatch/exchange.c", "#include <curl/curl.h>\n")
    assert_clean("foreign", tree)
    plant(tree, "watcher/dispatch/exchange.c", "#include <stdio.h>\n")
    assert_finds("foreign", tree, "does not include <curl/curl.h>")


# ---- lock 4: headers

def test_headers_clean(tree):
    assert_clean("headers", tree)


def test_headers_not_alone(tree):
    plant_after(tree, "include/core/settle.h", "int settle_due(int now);", "int settle_due(size_t now);")
    assert_finds("headers", tree, "include/core/settle.h", "does not compile alone")


def test_headers_no_guard(tree):
    plant(tree, "include/core/settle.h", "struct settle {\n\tint now;\n};\nint settle_due(int now);\n")
    assert_finds("headers", tree, "include/core/settle.h", "does not compile alone")


def test_headers_not_first(tree):
    plant(tree, "watcher/core/settle.c", "#include <stdio.h>\n" + SETTLE_C)
    assert_finds("headers", tree, "watcher/core/settle.c:1", 'must be "core/settle.h"')


def test_headers_missing(tree):
    plant(tree, "watcher/core/lonely.c", "int lonely;\n")
    assert_finds("headers", tree, "has no header include/core/lonely.h")


# ---- the other lints

def test_banned_clean(tree):
    plant_after(tree, "watcher/core/settle.c", "return now", '/* strcpy(a, b) */\n\tputs("system(1)");\n\treturn now')
    plant_after(tree, "watcher/core/settle.c", "return now", "f(faccessat(1) + s.access(2) + my_atoi(3));\nreturn now")
    assert_clean("banned", tree)


@pytest.mark.parametrize("call", ["sprintf(a, b)", "strcpy (a, b)", "x = atoi(a)", "if (access(p, 4))", "system\n(c)",
                                  "pthread_create(a)", "usleep(5)"])
def test_banned_planted(tree, call):
    plant_after(tree, "watcher/core/settle.c", "return now", call + ";\n\treturn now")
    assert_finds("banned", tree, "watcher/core/settle.c:8", "is banned")


def test_paths(tree):
    plant(tree, "doc/note.md", f"Run .{tree}/check and ./{tree.parts[1]}.\n")
    assert_clean("paths", tree)
    plant(tree, "doc/note.md", f"Look in {tree}/doc.\n")
    assert_finds("paths", tree, "doc/note.md:1", "names the folder of this checkout")
    plant(tree, "doc/note.md", "Nothing.\nLook in /home" + "/someone/x.\n")
    assert_finds("paths", tree, "doc/note.md:2", "home folder")


def test_makefile_clean(tree):
    assert_clean("makefile", tree)


@pytest.mark.parametrize("path", ["watcher/core/glob.c", "include/core/glob.h", "tests/unit/helper.h", "extra.txt"])
def test_makefile_forgotten_file(tree, path):
    plant(tree, path, "\n")
    assert_finds("makefile", tree, path, "is not listed in Makefile.am")


def test_makefile_file_that_is_gone(tree):
    (tree / "watcher/core/settle.c").unlink()
    assert_finds("makefile", tree, "lists watcher/core/settle.c, which is not there")


def test_makefile_wrong_archive(tree):
    plant_after(tree, "Makefile.am", "watcher/sense/walk.c", "")
    plant_after(tree, "Makefile.am", "watcher/core/settle.c", "watcher/core/settle.c watcher/sense/walk.c")
    assert_finds("makefile", tree, "libbw_core_a_SOURCES must hold exactly")


def test_makefile_unit_test_linked_upward(tree):
    plant_after(tree, "Makefile.am", "$(link_core)", "$(link_sense)")
    assert_finds("makefile", tree, "tests_unit_test_core_settle_LDADD must be $(link_core)")


def test_makefile_unit_test_not_run(tree):
    plant_after(tree, "Makefile.am", "unit_tests = tests/unit/test_core_settle\n", "")
    assert_finds("makefile", tree, "unit_tests of Makefile.am lacks")


@pytest.mark.parametrize("line, good", [
    ("int a; /* NOLINT */", False),
    ("int a; /* NOLINT(bugprone-x) */", False),
    ("int a; /* NOLINT(bugprone-x): the table is made by a macro */", True),
    ("/* cppcheck-suppress nullPointer */", False),
    ("/* cppcheck-suppress nullPointer ; the caller has looked already */", True),
    ("/* clang-format off */", False),
    ("/* one row of the table a line */ /* clang-format off */", False),
])
def test_excuses(tree, line, good):
    plant_after(tree, "watcher/core/settle.c", "int settle", line + "\nint settle")
    if good:
        assert_clean("excuses", tree)
    else:
        assert_finds("excuses", tree, "watcher/core/settle.c:6")


def test_excuse_of_clang_format_stands_above(tree):
    plant_after(tree, "watcher/core/settle.c", "int settle", "/* a row a line */\n/* clang-format off */\nint settle")
    assert_clean("excuses", tree)


def test_format(tree):
    assert_clean("format", tree)
    plant_after(tree, "watcher/core/settle.c", "\treturn", "    return")
    assert_finds("format", tree, "watcher/core/settle.c", "layout differs")


def test_cppcheck(tree):
    assert_clean("cppcheck", tree)
    plant_after(tree, "watcher/core/settle.c", "\treturn", "\tint row[2] = {0, 0};\n\n\tnow += row[2];\n\treturn")
    assert_finds("cppcheck", tree, "arrayIndexOutOfBounds")


def test_tidy(tree):
    assert_clean("tidy", tree)
    plant_after(tree, "watcher/core/settle.c", "\treturn", "\tint late;\n\n\tif (now)\n\t\tlate = 1;\n\treturn late +")
    assert_finds("tidy", tree, "watcher/core/settle.c", "clang-analyzer-core")


def test_scripts(tree):
    plant(tree, "check", '#!/bin/sh\necho "$1"\n')
    assert_clean("scripts", tree)
    plant(tree, "check", "#!/bin/sh\nrm -rf $1/*\n")
    assert_finds("scripts", tree, "SC2086")


def test_man(tree):
    page = ".Dd January 1, 2026\n.Dt X 5\n.Os\n.Sh NAME\n.Nm x\n.Nd a page\n"
    plant(tree, "man/x.5", page)
    assert_clean("man", tree)
    plant(tree, "man/x.5", page + ".Sh DESCRIPTION\n.Bl -tag\n.It Fl\n")
    assert_finds("man", tree, "x.5")


def test_python(tree):
    plant(tree, "tests/one.py", "print(1)\n")
    assert_clean("python", tree)
    plant(tree, "tests/one.py", "import os\nprint(1)\n")
    assert_finds("python", tree, "F401")


def compile_program(tree, *flags):
    plant(tree, "program.c", '#include <stdio.h>\nint main(int n, char **a)\n{\n\tchar line[64];\n\n'
          '\tsnprintf(line, n, "%s", a[0]);\n\treturn puts(line);\n}\n')
    subprocess.run(["cc", "-O2", *flags, "-o", "brickwatch", "program.c"], cwd=tree, check=True)


HARDENED = ("-fPIE", "-pie", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro",
            "-Wl,-z,now")


@pytest.mark.parametrize("flags, word", [
    ([f for f in HARDENED if "PIE" not in f and "pie" not in f] + ["-no-pie"], "is not position independent"),
    ([*HARDENED, "-fno-stack-protector"], "has no stack protector"),
    ([*HARDENED, "-D_FORTIFY_SOURCE=0"], "has no fortified call"),
    ([*HARDENED, "-Wl,-z,lazy"], "is linked without -z now"),
    ([*HARDENED, "-Wl,-z,norelro"], "has no RELRO segment"),
    ([*HARDENED, "-z", "execstack"], "has an executable stack"),
    ([*HARDENED, "-Wl,-rpath,/nowhere"], "has an RPATH"),
    ([*HARDENED, "-Wl,--no-as-needed", "-lm"], "needs libm, which is not on the list"),
    (HARDENED, "does not need libcurl"),
])
def test_binary_planted(tree, flags, word):
    compile_program(tree, *[f for f in flags if f != "-D_FORTIFY_SOURCE=2" or "-D_FORTIFY_SOURCE=0" not in flags])
    assert_finds("binary", tree, word, BW_BUILD=str(tree))


def test_binary_holds_build_path(tree):
    compile_program(tree)
    assert_clean("binary", tree, BW_BUILD=str(tree), BW_SANITIZED="yes")
    compile_program(tree, f'-DPLACE="{tree}/program.c"', "-g3")
    assert_finds("binary", tree, "holds the path of its build", BW_BUILD=str(tree), BW_SANITIZED="yes")


# ---- keys and verbs

ROWS = "\n".join(f'\t{{WATCH, "key_{n}", TEXT, 0, "1",\n\t\t.help = "x"}},' for n in range(20))
SCHEMA_C = ('static const struct conf_key KEYS[] = {\n' + ROWS + """
\t{WATCH, "param.*", PARAM, 0, NULL, .note = "{x}",
\t\t.help = "template"},
};
""")
SAMPLE = "[watch:orders]\n" + "\n".join(f"; key_{n} = 1" for n in range(20)) + "\n;param.path = ${uri}\n"
METRICS = ("a", "b", "c")
KEY_MANUAL = ("\n".join(f".TP\n\\fBkey_{n}\\fR\nText." for n in range(20)) + "\n.B param.KEY\n"
              + "".join(f".It Li brickwatch_{n}\n" for n in METRICS))
MAIN_C = "static const struct cli_verb *const verbs[] = {\n\t&cli_run, &cli_scan, &cli_check};\n"
EVENT_C = "\n".join(f'\t[EVENT_{n}] = "{n.lower().replace("_", ".")}",' for n in ("RUN_A", "RUN_B", "WATCH_C")) + "\n"
EVENT_MANUAL = ".Ss run.a , run.b\nText.\n.Ss watch.c\nText with run.d.\n"
FIELDS_C = "static const char *const names[] = {\n" + "".join(f'\t"field_{n}",\n' for n in range(20)) + "};\n"
SCHEMA_JSON = ('{"$defs": {"a": {"properties": {"field_1": {"properties": {"inner": {}}}}}},'
               ' "properties": {"field_2": {}}}\n')
TOPICS = ("listing", "settle", "http")
VERB_MANUAL = ".B run\n.B scan\n.Fl -wait\n.B check\n"
SCAN_C = '{"wait", required_argument, NULL, 256}\n.help = "  --wait TIME        at most this long\\n",\n'


@pytest.fixture(name="keys")
def _keys(tree):
    plant(tree, "watcher/core/conf_schema.c", SCHEMA_C)
    plant(tree, "packaging/config/brickwatch.ini", SAMPLE)
    plant(tree, "man/brickwatch.ini.5", KEY_MANUAL)
    plant(tree, "watcher/main.c", MAIN_C)
    for verb in ("run", "scan", "check"):
        plant(tree, f"watcher/cli/{verb}.c", f'const struct cli_verb cli_{verb} = {{\n\t.name = "{verb}",\n}};\n'
              + (SCAN_C if verb == "scan" else ""))
    plant(tree, "man/brickwatch.8", VERB_MANUAL)
    plant(tree, "watcher/core/event.c", EVENT_C)
    plant(tree, "man/brickwatch-events.5", EVENT_MANUAL)
    plant(tree, "watcher/core/event_text.c", FIELDS_C)
    plant(tree, "packaging/schema/run.schema.json", SCHEMA_JSON)
    plant(tree, "include/base/trace.h", "".join(f'\tX({n.upper()}, "{n}", "text") \\\n' for n in TOPICS))
    plant(tree, "include/core/metrics.h",
          "".join(f'\tX({n.upper()}, "brickwatch_{n}", "gauge", "") \\\n' for n in METRICS))
    plant(tree, "packaging/prometheus/rules.yml", "expr: brickwatch_b == 0\n")
    plant(tree, "man/brickwatch-debug.7", "".join(f".It Cm {n}\nText.\n" for n in TOPICS))
    plant(tree, "watcher/base/use.c", "".join(f'\ttrace(TRACE_{n.upper()}, "x");\n' for n in TOPICS))
    return tree


def test_keys_clean(keys):
    assert_clean("keys", keys)


@pytest.mark.parametrize("path, old, new, word", [
    ("packaging/config/brickwatch.ini", "key_7 = 1", "", "lacks key_7 of [watch]"),
    ("packaging/config/brickwatch.ini", "param.path = ", "", "lacks param.* of [watch]"),
    ("packaging/config/brickwatch.ini", "key_7 = 1", "\nkey_x = 1", "ini:10: [watch] has no key key_x"),
    ("man/brickwatch.ini.5", "key_19", "key_9", "lacks key_19 of [watch]"),
    ("man/brickwatch.ini.5", "key_1\\fR", "\\fR", "lacks key_1 of [watch]"),
    ("man/brickwatch.8", ".B scan", '.\\" scan', "lacks the verb scan"),
    ("watcher/main.c", "&cli_scan, ", "", "does not know the verb scan of watcher/cli/scan.c"),
    ("watcher/cli/scan.c", '"  --wait', '"  --wbit', "takes --wait (required_argument), which its help does"),
    ("watcher/cli/scan.c", "--wait TIME ", "--wait      ", "takes --wait (required_argument), which its help does"),
    ("watcher/cli/scan.c", '{"wait", ', '{"wbit", ', "its help tells of --wait, which it does not take"),
    ("man/brickwatch.8", "-wait", "", "lacks --wait of watcher/cli/scan.c"),
    ("man/brickwatch.ini.5", "_a\n", "_d\n", "lacks the metric brickwatch_a"),
    ("man/brickwatch.ini.5", "_a\n", "_d\n", "describes the metric brickwatch_d"),
    ("packaging/prometheus/rules.yml", "_b", "_x", "uses brickwatch_x, which is no metric"),
    ("man/brickwatch-debug.7", "Cm settle", "Cm stle", "lacks the topic settle"),
    ("man/brickwatch-debug.7", ".It Cm settle", ".It Cm x\n.It Cm settle", "describes x, which is no topic"),
    ("watcher/base/use.c", "TRACE_HTTP", "TRACE_SETTLE", "nothing is traced for http"),
    ("man/brickwatch-events.5", ", run.b", "", "has no heading for run.b"),
    ("watcher/core/event.c", "watch.c", "run.d", "has no heading for run.d"),
    ("watcher/core/event_text.c", "field_2\"", "field_x\"", "lacks field_2 of packaging/schema/run.schema.json"),
    ("watcher/core/event_text.c", "field_1\"", "field_x\"", "lacks field_1 of packaging/schema/run.schema.json"),
    ("watcher/core/event_text.c", "names[]", "words[]", "only 0 fields can be read"),
    ("watcher/core/conf_schema.c", "WATCH,", "CONF_KIND_WATCH,", "[watch] has no key key_0"),
])
def test_keys_planted(keys, path, old, new, word):
    plant_after(keys, path, old, new)
    assert_finds("keys", keys, word)
