#!/usr/bin/env python3
"""Every function of the C headers has a doc block right above it, with @threading, @since and a
@param for each parameter, and none for a parameter that does not exist.

What the head of the header says once for all needs no @param: the handle that a function is about
(`dqc_conn *conn`), `error`, `user_data`, and the size or count that goes with a documented pointer (`sql_size`,
`arg_count`). A block that says "as dqc_other()", or "like" it, has the parameters of that function's block too.
"""

import re

import common

DECLARATION = re.compile(r"^DQC_API\b[^;]*;", re.M)
FUNCTION = re.compile(r"\b(dqc_\w+)\s*\(")
BLOCK = re.compile(r"/\*\*(?:(?!\*/).)*\*/\s*\Z", re.S)
LIKE = re.compile(r"\b(?:as|like)\s+(?:\*\s+)?(dqc_\w+)\(\)", re.I)
PARAM = re.compile(r"@param(?:\[[a-z,]+\])?\s+(\w+)")


def parameters(text):
    """Names of the parameters in the text between the brackets of a declaration."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += char in "(["
        depth -= char in ")]"
        if char == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    parts.append(current)
    names = []
    for part in (p.strip() for p in parts):
        if part in ("", "void", "..."):
            continue
        pointer = re.search(r"\((?:\s*\w+)?\s*\*\s*(\w+)\s*\)", part)
        names.append(pointer.group(1) if pointer else re.findall(r"\w+", re.sub(r"\[.*", "", part))[-1])
    return names


class Function:
    def __init__(self, text, match, name):
        plain = common.blank(match.group())
        opening = name.end() - 1
        block = BLOCK.search(text, 0, match.start())
        self.name = name.group(1)
        self.line = common.line_at(text, match.start())
        inside = plain[opening + 1:common.closing(plain, opening)]
        self.handles = re.findall(r"\bdqc_(\w+)\s*\*\s*(?=\1\b)", inside)
        self.declared = parameters(inside)
        self.block = block.group() if block else None
        self.documented = PARAM.findall(self.block or "")
        self.like = LIKE.findall(self.block or "")


def explained(function, by_name, seen):
    """The parameters that the block, or one it refers to, documents."""
    names = set(function.documented)
    for other in function.like:
        if other in by_name and other not in seen:
            names |= explained(by_name[other], by_name, seen | {other})
    return names


def is_understood(parameter, function, names):
    if parameter in names or parameter in ("error", "user_data") or parameter in function.handles:
        return True
    stem = re.sub(r"_(size|count)$", "", parameter)
    return stem != parameter and (stem in names or stem + "s" in names)


def check(report, path, function, by_name):
    if function.block is None:
        report.error(path, function.line, f"{function.name}: no doc block right above it")
        return
    for tag in ("@threading", "@since"):
        if tag not in function.block:
            report.error(path, function.line, f"{function.name}: {tag} is missing")
    for other in function.like:
        if other not in by_name:
            report.error(path, function.line, f"{function.name}: there is no {other}()")
    names = explained(function, by_name, {function.name})
    for parameter in function.declared:
        if not is_understood(parameter, function, names):
            report.error(path, function.line, f"{function.name}: no @param {parameter}")
    for parameter in function.documented:
        if parameter not in function.declared:
            report.error(path, function.line,
                         f"{function.name}: @param {parameter} is not a parameter")


def main():
    report = common.Report("header_docs")
    found = []
    for path in common.files("capi/include", suffixes={".h"}):
        text = common.read(path)
        for match in DECLARATION.finditer(text):
            name = FUNCTION.search(common.blank(match.group()))
            if name:
                found.append((path, Function(text, match, name)))
    by_name = {function.name: function for _, function in found}
    for path, function in found:
        check(report, path, function, by_name)
    report.finish(f"{len(found)} functions")


if __name__ == "__main__":
    main()
