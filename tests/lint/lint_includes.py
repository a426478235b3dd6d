"""Lock 1: the include graph. A layer includes only itself and the layers below; no headers need each other."""

import os

import common


def may_include(layer):
    if layer == "main":
        return set(common.LAYERS)
    return {layer, *common.LAYERS.get(layer, ())}


def check_file(top, path, report):
    """Returns the headers of ours that this file includes."""
    needs = set()
    layer = common.layer_of(path)
    in_tests = path.startswith(("tests/", "bench/"))
    if not in_tests and layer != "main" and layer not in common.LAYERS:
        report.add(path, 1, "is in no layer (folders of include/ and watcher/ are the layers)")
        return needs
    for line, kind, name in common.includes(common.read_text(top, path)):
        first = name.split("/")[0]
        if kind == "macro":
            report.add(path, line, f"include {name}: a macro hides what is included")
        elif kind == "angle" and (first in common.LAYERS or os.path.exists(f"{top}/include/{name}")):
            report.add(path, line, f"include <{name}>: our own headers are included in quotes")
        elif kind == "quote" and os.path.exists(f"{top}/include/{name}"):
            if layer is not None and first not in may_include(layer):
                report.add(path, line, f"include \"{name}\": layer {layer} may not include layer {first}")
            needs.add(name)
        elif kind == "quote" and not (in_tests and os.path.exists(f"{top}/{os.path.dirname(path)}/{name}")):
            report.add(path, line, f"include \"{name}\": there is no include/{name}")
    return needs


def find_cycle(graph):
    """One cycle of the graph as a list of names, or None."""
    done = set()

    def visit(header, way):
        if header in way:
            return way[way.index(header):] + [header]
        if header in done:
            return None
        for needed in sorted(graph.get(header, ())):
            cycle = visit(needed, way + [header])
            if cycle:
                return cycle
        done.add(header)
        return None

    for header in sorted(graph):
        cycle = visit(header, [])
        if cycle:
            return cycle
    return None


def check(top, report):
    graph = {}
    for path in common.c_files(top):
        needs = check_file(top, path, report)
        if path.startswith("include/"):
            graph[path[len("include/"):]] = needs
    cycle = find_cycle(graph)
    if cycle:
        report.add("include", 0, "headers need each other: " + " -> ".join(cycle))


common.main("include graph", check)
