"""No file of the tree names a place on the machine it was written on: the checkout, a home, a scratch folder."""

import os
import re

import common

# What a checkout may lie in without that name being a mistake everywhere else.
_ORDINARY = {"/", "/tmp", "/usr", "/usr/src", "/usr/local", "/var", "/var/tmp", "/opt", "/srv", "/home", "/root"}
_HOMES = re.compile(r"(?<![\w.}])(?:/home/(?!USER\b|NAME\b)[A-Za-z0-9_]+|/root/|/Users/\w)")


def own_places(top):
    """The folder of the checkout and those around it. One directly under / may have any word for a name (/check, /doc),
    so it does not count; and ./a/b is no absolute path."""
    places = []
    folder = os.path.realpath(top)
    while folder not in _ORDINARY and folder.count("/") > 1:
        places.append(folder)
        folder = os.path.dirname(folder)
    return re.compile(r"(?<![\w.}])(?:%s)(?=[/\s\"'`:,;)]|$)" % "|".join(map(re.escape, places))) if places else None


def check(top, report):
    own = own_places(top)
    for path in common.tree_files(top):
        for number, line in enumerate(common.read_text(top, path).split("\n"), 1):
            if own and own.search(line):
                report.add(path, number, "names the folder of this checkout")
            elif _HOMES.search(line) and "lint_paths" not in path:
                report.add(path, number, f"names a home folder: {_HOMES.search(line).group()}")


common.main("machine paths", check)
