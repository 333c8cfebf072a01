#!/usr/bin/env python3
"""Nothing in the tree names a folder of somebody's machine or the host of a package registry."""

import re

import common

FORBIDDEN = [
    (re.compile(r"(?<![\w.$}-])/(root|work|farm|Users|home/\w+)/"), "a path of one machine"),
    (re.compile(
        r"\b(registry\.(npmjs\.org|yarnpkg\.com)|(files\.)?pythonhosted\.org|pypi\.org/simple"
        r"|(static|index)\.crates\.io|proxy\.golang\.org|repo1?\.maven\.org|api\.nuget\.org)\b"),
     "the host of a package registry"),
    (re.compile(r"(--(extra-)?index-url|GOPROXY=|npm_config_registry)"),
     "a choice of package registry"),
]


def main():
    report = common.Report("paths")
    count = 0
    for path in common.files():
        if path.name == "paths.py" and path.parent.name == "tidy":
            continue
        try:
            text = common.read(path)
        except UnicodeDecodeError:
            continue  # binary: a corpus file, an image
        count += 1
        for number, line in enumerate(text.split("\n"), 1):
            for pattern, what in FORBIDDEN:
                match = pattern.search(line)
                if match:
                    report.error(path, number, f"{what}: {match.group()}")
    report.finish(f"{count} files")


if __name__ == "__main__":
    main()
