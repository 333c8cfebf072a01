#!/usr/bin/env python3
"""Includes go one way: base <- wire <- session <- client <- net <- capi; tools, cpp and bindings
see the public headers only; below net there is no socket, clock, thread or random source."""

import re

import common

LAYERS = ["base", "wire", "session", "client", "net"]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)

# What would make the layers below net depend on anything but their arguments.
SYSTEM = re.compile(
    r"(sys/(socket|un|time|epoll|select|poll|eventfd|timerfd|random|ioctl)\.h"
    r"|netinet/.*|arpa/.*|netdb\.h|net/.*\.h|poll\.h|unistd\.h|fcntl\.h|signal\.h|csignal"
    r"|time\.h|ctime|chrono|pthread\.h|threads\.h|thread|stop_token|random|condition_variable"
    r"|future|semaphore|latch|barrier|shared_mutex|atomic|stdatomic\.h|mutex)"
)
ALLOWED = {"base": {"atomic", "mutex"}, "session": {"atomic"}}  # results are consumed on other threads
# The library never prints.
PRINTING = {"iostream", "fstream", "syslog.h"}
UV_HOMES = ("src/net/", "capi/include/dqclient/dqclient_uv.h")
UV = re.compile(r"uv(/.*)?\.h$")


def check_core(name, include):
    """What is wrong with this include in a file of src/, or None."""
    layer = name.split("/")[1]
    if layer not in LAYERS:
        return f"src/{layer} is not a layer"
    target = include.split("/")[0]
    if target in LAYERS and LAYERS.index(target) > LAYERS.index(layer):
        return f"{layer} may not include {target}"
    if target in ("capi", "dqclient", "cpp"):
        return "the core never includes the C ABI above it"
    if layer != "net" and SYSTEM.fullmatch(include):
        if include not in ALLOWED.get(layer, ()):
            return f"<{include}> below net: time, randomness and I/O are parameters here"
    return None


def check(name, quote, include):
    """What is wrong with this include, or None."""
    inside = name.split("/")[0]
    if inside == "src":
        problem = check_core(name, include)
        if problem:
            return problem
    if inside in ("src", "capi") and not name.startswith("capi/examples/"):
        if include in PRINTING:
            return f"<{include}>: the library never prints"
        if UV.fullmatch(include) and not name.startswith(UV_HOMES):
            return "uv.h belongs to src/net and dqclient_uv.h"
    if inside in ("cpp", "bindings", "tools") or name.startswith(("capi/include/", "capi/examples/")):
        if include.split("/")[0] in LAYERS + ["capi", "src"] and "/" in include:
            return "only the public headers may be included here"
        if quote == '"' and ("../src" in include or "../capi" in include):
            return "only the public headers may be included here"
    return None


def main():
    report = common.Report("layers")
    count = 0
    folders = ("src", "capi", "cpp", "bindings", "tools")
    for path in common.files(*folders, suffixes=common.C_SUFFIXES):
        count += 1
        text = common.blank(common.read(path), strings=False)
        for match in INCLUDE.finditer(text):
            problem = check(common.name_of(path), *match.groups())
            if problem:
                report.error(path, common.line_at(text, match.start(2)), problem)
    report.finish(f"{count} files")


if __name__ == "__main__":
    main()
