#!/usr/bin/env python3
"""Every exported function goes through capi::guard, so that no exception crosses into C. A body
that cannot throw (it returns a constant or a field) says so: `// no guard: <why>`."""

import re

import common

# A definition at file level: no indent, a dqc_ name, an opening brace after the parameters.
DEFINITION = re.compile(r"^(?!static\b|#)[A-Za-z_][\w \t*:&\"]*?\b(dqc_\w+)\s*(\()", re.M)
GUARD = re.compile(r"\bguard\w*\s*(<[^;{}]*>)?\s*\(")


def main():
    report = common.Report("guard")
    count = 0
    for path in common.files("capi/src", suffixes={".cpp"}):
        text = common.read(path)
        plain = common.blank(text)
        for match in DEFINITION.finditer(plain):
            after = common.closing(plain, match.start(2)) + 1
            body = re.compile(r"\s*(noexcept\s*)?\{").match(plain, after)
            if not body:
                continue
            count += 1
            end = common.closing(plain, body.end() - 1)
            if not GUARD.search(plain, body.end(), end) and "// no guard:" not in text[body.end():end]:
                report.error(path, common.line_at(text, match.start()),
                             f"{match.group(1)}: the body does not go through guard(")
    report.finish(f"{count} functions")


if __name__ == "__main__":
    main()
