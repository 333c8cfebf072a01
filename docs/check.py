#!/usr/bin/env python3
"""Every code block of the documentation is real. A block behind `<!-- file: PATH -->` equals that
file but for its licence line; every other ```c or ```cpp block compiles against the public headers.
Usage: docs/check.py --build BUILD_DIR (for the compiler's choice, and for scratch files)."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)```", re.S)
INCLUDES = ["-I", str(ROOT / "capi/include"), "-I", str(ROOT / "cpp/include")]
PRELUDE = {
    "c": "#include <dqclient/dqclient.h>\n#include <poll.h>\n#include <stdio.h>\n#include <string.h>\n",
    "cpp": "#include <dqclient/coro.hpp>\n#include <dqclient/dqclient.hpp>\n#include <iostream>\n",
}
COMPILE = {
    "c": [os.environ.get("CC", "cc"), "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-x", "c"],
    "cpp": [os.environ.get("CXX", "c++"), "-std=c++20", "-x", "c++"],
}
FLAGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only"]


def documents():
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def without_licence(text):
    lines = [line for line in text.splitlines() if "SPDX-License-Identifier" not in line]
    return "\n".join(lines).strip()


def check_file(name, code):
    source = ROOT / name
    if not source.is_file():
        return f"{name} does not exist"
    if without_licence(source.read_text()) != code.strip():
        return f"differs from {name}"
    return None


def check_code(language, earlier, code, folder):
    source = folder / f"block.{language}"
    source.write_text(PRELUDE[language] + earlier + code)
    command = COMPILE[language] + FLAGS + INCLUDES + [str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else run.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    options = parser.parse_args()
    count = 0
    failures = []
    with tempfile.TemporaryDirectory(dir=options.build) as name:
        for document in documents():
            text = document.read_text()
            earlier = dict.fromkeys(COMPILE, "")  # a block may use those above it
            for match in BLOCK.finditer(text):
                file, language, code = match.groups()
                if file is None and language not in COMPILE:
                    continue
                count += 1
                if file:
                    problem = check_file(file, code)
                else:
                    problem = check_code(language, earlier[language], code, pathlib.Path(name))
                    earlier[language] += code
                if problem:
                    line = text.count("\n", 0, match.start()) + 1
                    failures.append(f"{document.relative_to(ROOT)}:{line}: {problem}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"docs: {count} code blocks, {len(failures)} wrong")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
