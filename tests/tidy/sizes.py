#!/usr/bin/env python3
"""Files of at most 500 lines (700 is an error), functions of at most 70 (100 is an error). In the
public headers documentation does not count."""

import re

import common

FILE_WARN, FILE_MAX = 500, 700
FUNCTION_WARN, FUNCTION_MAX = 70, 100

# What stands before the { of a function: a parameter list, then qualifiers, a trailing return
# type or an initialiser list. The name is the word before the first bracket.
HEAD = re.compile(r"([~\w]+|operator\s*\S+?)\s*\(.*\)[^;=(){}]*(:.*)?$", re.S)
# In an initialiser list, `member_{value}`: a brace that opens no body.
MEMBER_BRACE = re.compile(r"\)[^;(){}]*(?<!:):(?!:).*[\w>]\s*$", re.S)
NOT_A_FUNCTION = re.compile(
    r"^\s*(if|for|while|switch|catch|else|do|try|return|namespace|class|struct|union|enum|extern|"
    r"static_assert)\b"
)


def functions(text):
    """(name, first line, number of lines) of the outermost function bodies in a C or C++ text."""
    text = common.blank(text)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()),
                  text, flags=re.M)
    offset, head_start = 0, 0
    while offset < len(text):
        char = text[offset]
        if char in ";}":
            head_start = offset + 1
        elif char == "{":
            head = re.sub(r"\b(public|private|protected)\s*:", "", text[head_start:offset])
            if MEMBER_BRACE.search(head):
                offset = common.closing(text, offset) + 1
                continue
            match = HEAD.search(head)
            if match and not NOT_A_FUNCTION.match(head):
                end = common.closing(text, offset)
                first_char = head_start + len(text[head_start:offset]) - len(
                    text[head_start:offset].lstrip())
                first = common.line_at(text, first_char)
                yield match.group(1), first, common.line_at(text, end) - first + 1
                offset = end
            head_start = offset + 1
        offset += 1


def file_lines(path, text):
    if "/include/" in common.name_of(path):
        return sum(1 for line in common.blank(text, strings=False).split("\n") if line.strip())
    return text.count("\n")


def main():
    report = common.Report("sizes")
    count = 0
    for path in common.files(suffixes=common.C_SUFFIXES | {".py", ".sh"}):
        text = common.read(path)
        count += 1
        lines = file_lines(path, text)
        if lines > FILE_MAX:
            report.error(path, 1, f"{lines} lines, {FILE_MAX} is the limit")
        elif lines > FILE_WARN:
            report.warn(path, 1, f"{lines} lines, {FILE_WARN} wanted")
        if path.suffix not in common.C_SUFFIXES:
            continue
        for name, first, size in functions(text):
            if size > FUNCTION_MAX:
                report.error(path, first, f"{name}: {size} lines, {FUNCTION_MAX} is the limit")
            elif size > FUNCTION_WARN:
                report.warn(path, first, f"{name}: {size} lines, {FUNCTION_WARN} wanted")
    report.finish(f"{count} files")


if __name__ == "__main__":
    main()
