#!/usr/bin/env python3
"""Every exported function that can fail (it takes a dqc_error **, or returns a status that is not
an error's own) goes through capi::guard, so that no exception crosses into C. The others read
fields, or give references back; they do not allocate."""

import re

import common

# A definition at file level: no indent, a dqc_ name, an opening brace after the parameters.
DEFINITION = re.compile(r"^(?!static\b|#)[A-Za-z_][\w \t*:&\"]*?\b(dqc_\w+)\s*(\()", re.M)
GUARD = re.compile(r"\b(?:Step)?[Gg]uard\w*\s*(<[^;{}]*>)?\s*\(")


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
            parameters = plain[match.end():after]
            returns_status = re.match(r"\s*dqc_status\b", match.group(0)) is not None
            can_fail = "dqc_error**" in parameters.replace(" ", "") or (
                returns_status and not match.group(1).startswith("dqc_error_"))
            if can_fail and not GUARD.search(plain, body.end(), end):
                report.error(path, common.line_at(text, match.start()),
                             f"{match.group(1)}: the body does not go through guard(")
    report.finish(f"{count} functions")


if __name__ == "__main__":
    main()
