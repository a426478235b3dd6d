"""Lock 3: third-party headers. Each is included by exactly one .c file of the program, and by no header."""

import common

ONLY_IN = {
    "curl/curl.h": "watcher/dispatch/exchange.c",
    "sqlite3.h": "watcher/dispatch/db.c",
    "magic.h": "watcher/sniff/magic.c",
    "ini.h": "watcher/keep/conffile.c",
    "cjson/cJSON.h": "watcher/base/json.c",
    "zlib.h": "watcher/base/gzip.c",
    "openssl/evp.h": "watcher/base/sha256.c",
    "openssl/err.h": "watcher/dispatch/tlscheck.c",
    "openssl/pem.h": "watcher/dispatch/tlscheck.c",
    "openssl/pkcs12.h": "watcher/dispatch/tlscheck.c",
    "openssl/ssl.h": "watcher/dispatch/tlscheck.c",
    "seccomp.h": "watcher/confine/seccomp.c",
}

# The C library and the kernel. A header that is neither here nor above is a new dependency: decide on it first.
SYSTEM = set("""
assert.h ctype.h dirent.h dlfcn.h endian.h errno.h fcntl.h fnmatch.h float.h getopt.h grp.h ifaddrs.h inttypes.h
langinfo.h libgen.h limits.h link.h locale.h malloc.h math.h mntent.h netdb.h paths.h poll.h pwd.h regex.h sched.h
setjmp.h signal.h spawn.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h
string.h strings.h sysexits.h syslog.h termios.h time.h unistd.h utime.h wchar.h wctype.h byteswap.h
""".split())
SYSTEM_FOLDERS = ("sys/", "linux/", "asm/", "arpa/", "net/", "netinet/")


def is_system(name):
    return name in SYSTEM or name.startswith(SYSTEM_FOLDERS)


def check(top, report):
    users = {}
    for path in common.c_files(top, "include", "watcher"):
        for line, kind, name in common.includes(common.read_text(top, path)):
            if kind != "angle" or is_system(name):
                continue
            users.setdefault(name, set()).add(path)
            if name not in ONLY_IN:
                report.add(path, line, f"include <{name}>: neither the C library's nor a library brickwatch uses")
            elif path != ONLY_IN[name]:
                report.add(path, line, f"include <{name}>: only {ONLY_IN[name]} may")
    for name, path in ONLY_IN.items():
        if path in common.c_files(top, "watcher") and name not in users:
            report.add(path, 1, f"does not include <{name}>, which it alone may: is the table of this lint still true?")


common.main("third-party headers", check)
