"""What the lints share: the tree's files, C text without comments, and one way to report."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
C_SUFFIXES = {".c", ".h", ".cpp", ".hpp"}

_TOKENS = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<!\w)'(?:\\.|[^'\\\n])*'""",
    re.S,
)


def files(*folders, suffixes=None):
    """Files of the tree below the folders (all of them without any): known to git or not yet
    added, never ignored ones; everything but build/ where there is no git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True, text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
        listed = [name for name in listed if not name.startswith(("build/", ".git/"))]
    for name in sorted(filter(None, listed)):
        if folders and not name.startswith(tuple(f.rstrip("/") + "/" for f in folders)):
            continue
        path = ROOT / name
        if (suffixes is None or path.suffix in suffixes) and path.is_file():
            yield path


def read(path):
    return path.read_text(encoding="utf-8")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blank(text, strings=True):
    """The text with comments (and what is inside literals) turned into spaces: line numbers and
    offsets stay as they were."""

    def spaces(match):
        token = match.group()
        if not token.startswith("/") and not strings:
            return token
        return re.sub(r"[^\n]", " ", token)

    return _TOKENS.sub(spaces, text)


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def closing(text, opening):
    """Offset of the bracket that closes the one at `opening`, or the text's end. The text must be
    blanked."""
    pairs = {"{": "}", "(": ")"}
    open_, close = text[opening], pairs[text[opening]]
    depth = 0
    for offset in range(opening, len(text)):
        if text[offset] == open_:
            depth += 1
        elif text[offset] == close:
            depth -= 1
            if depth == 0:
                return offset
    return len(text)


class Report:
    """Collects findings; finish() prints them with the lint's name and exits."""

    def __init__(self, lint):
        self.lint, self.errors, self.warnings = lint, [], []

    def error(self, path, line, text):
        self.errors.append(f"{name_of(path)}:{line}: {text}")

    def warn(self, path, line, text):
        self.warnings.append(f"{name_of(path)}:{line}: warning: {text}")

    def finish(self, checked):
        for finding in self.warnings + self.errors:
            print(finding)
        print(f"{self.lint}: {checked}, {len(self.errors)} errors, {len(self.warnings)} warnings")
        sys.exit(1 if self.errors else 0)
