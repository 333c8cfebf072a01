#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Provide real dqlite servers to test against, one per protocol era that can be had.

  distro   this machine's own libdqlite
  trixie   the libdqlite of Debian 13
  testing  the libdqlite of Debian testing

The last two are downloaded with apt into a cache folder under a private configuration: nothing of
the system is changed and no privilege is needed. The mirror, proxy and keyring are the machine's own;
only the name of the suite is replaced, and apt checks the archive's signature as always. Each server
gets its own C library and loader, so it runs as an ordinary process on this system.

A server that cannot be had is no error: it is listed as unavailable, with the reason.

The result is a JSON file: {"servers": [{"name", "available", "version", "expected_era", "command"}, …]},
or with "reason" in place of the last three if not available. "command" is an executable that takes the
arguments of dqc-node and becomes the node: its pid is the node's. "expected_era" follows from the
version; a test should still probe for it.
"""

import argparse
import collections
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

NODE_SOURCE = Path(__file__).resolve().parents[2] / "tools" / "dqc" / "node" / "dqc_node.c"
SUITES = {"trixie": "trixie", "testing": "testing"}  # server name -> Debian suite
NAMES = ("distro", *SUITES)

# apt resolves what libdqlite0 needs, down to the C library, because the private package status is
# empty. Of the development packages only the files themselves are wanted, not their dependencies.
RUNTIME_PACKAGES = ["libdqlite0"]
HEADER_PACKAGES = ["libdqlite-dev", "libsqlite3-dev"]
ARCHIVE_KEYRINGS = [Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("gpg", "pgp")]
DOWNLOAD_LIMIT_S = 300
COMPILE_LIMIT_S = 60


class Unavailable(Exception):
    """This server cannot be had here; the message says why."""


def say(text):
    print(f"servers: {text}", file=sys.stderr, flush=True)


def run(command, limit_s, env=None, cwd=None):
    """Run a command and return its stdout; a failure of any kind is Unavailable."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, timeout=limit_s, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took longer than {limit_s} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E:") or "error" in line]
        why = (errors or lines or [f"exit code {done.returncode}"])[0]
        raise Unavailable(f"{' '.join(command[:2])} failed: {why}")
    return done.stdout


def write_atomically(path, text, mode=0o644):
    """Whoever reads or runs the file sees the old one or the new one, never half of it."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)


def expected_era(version):
    """The protocol era of a libdqlite package version such as 1.18.1-1."""
    found = re.match(r"(?:\d+:)?(\d+)\.(\d+)\.(\d+)", version)
    if not found:
        return None
    number = tuple(int(part) for part in found.groups())
    if number < (1, 12, 0):
        return "A"
    if number < (1, 15, 0):
        return "B"
    return "C" if number < (1, 18, 2) else "D"


# ---------------------------------------------------------------------------- the machine's apt sources

Source = collections.namedtuple("Source", "uri suite components keyring")


def parse_list(text):
    """The one-line format: deb [signed-by=FILE arch=…] URI SUITE COMPONENT…"""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            options, uri, suite, components = found.groups()
            keyring = re.search(r"signed-by=(\S+)", options or "", re.IGNORECASE)
            yield Source(uri, suite, components.split(), keyring.group(1) if keyring else "")


def parse_deb822(text):
    """The stanza format of *.sources files."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {}
        for name, value in re.findall(r"^([\w-]+):(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE):
            fields[name.lower()] = value.strip()
        types, uris, suites, components = (
            fields.get(name, "").split() for name in ("types", "uris", "suites", "components")
        )
        if "deb" in types and fields.get("enabled", "yes").lower() != "no":
            for uri, suite in itertools.product(uris, suites):
                yield Source(uri, suite, components, fields.get("signed-by", ""))


def machine_sources(folder=Path("/etc/apt")):
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        with contextlib.suppress(OSError):
            if file.suffix == ".list":
                yield from parse_list(file.read_text(errors="replace"))
            elif file.suffix == ".sources":
                yield from parse_deb822(file.read_text(errors="replace"))


def os_release():
    fields = {}
    with contextlib.suppress(OSError):
        for line in Path("/etc/os-release").read_text().splitlines():
            name, _, value = line.partition("=")
            fields[name] = value.strip('"')
    return fields


def debian_mirrors():
    """Places that carry the whole Debian archive, best first."""
    release = os_release()
    if release.get("ID") != "debian":
        raise Unavailable(f"this is not Debian but {release.get('ID', platform.system())}")
    own = {release.get("VERSION_CODENAME"), "stable", "testing", "unstable", "sid"}
    sources = [s for s in machine_sources() if not s.uri.startswith(("cdrom:", "file:", "copy:"))]
    # Others also call a suite "bookworm"; the archive itself is where "bookworm-updates" is too.
    has_updates = {s.uri for s in sources if s.suite.endswith("-updates")}
    mirrors = [s for s in sources if s.suite in own and "main" in s.components]
    if not mirrors:
        raise Unavailable("the apt sources of this machine name no Debian mirror")
    return sorted(mirrors, key=lambda s: s.uri not in has_updates)


def keyring_of(source):
    """The keyring the machine trusts for this source, else the one of the Debian archive."""
    own = [Path(source.keyring)] if source.keyring.startswith("/") else []
    for path in own + ARCHIVE_KEYRINGS:
        if path.is_file():
            return path
    raise Unavailable("no archive keyring: install the package debian-archive-keyring")


# ------------------------------------------------------------------------------------------ private apt


def machine_acquire_settings():
    """How this machine downloads: proxies, certificates, whether release dates are checked.

    Whatever could switch off signature checks is left out.
    """
    lines = run(["apt-config", "dump", "Acquire"], 20).splitlines()
    return [line for line in lines if not re.match(r"Acquire::(Allow|IndexTargets|\S* \"\";)", line)]


class PrivateApt:
    """apt with every file it reads or writes below one folder, except the keyring."""

    def __init__(self, folder, source, suite):
        self.archives = folder / "cache" / "archives"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={keyring_of(source)}] {source.uri} {suite} main\n")
        settings = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Install-Recommends": "false",
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Update::Error-Mode": "any",
            "APT::Sandbox::User": "root",  # _apt may not enter the cache folder; no effect if not root
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
        }
        lines = machine_acquire_settings() + [f'{key} "{value}";' for key, value in settings.items()]
        config = folder / "apt.conf"
        config.write_text("\n".join(lines) + "\n")
        self.env = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}

    def download(self):
        """The verified package files; apt refuses whatever the signed index does not vouch for."""
        run(["apt-get", "update"], DOWNLOAD_LIMIT_S, self.env)
        run(["apt-get", "install", "--yes", "--download-only", *RUNTIME_PACKAGES], DOWNLOAD_LIMIT_S, self.env)
        run(["apt-get", "download", *HEADER_PACKAGES], DOWNLOAD_LIMIT_S, self.env, cwd=self.archives)
        return sorted(self.archives.glob("*.deb"))


def unpack_suite(suite, folder):
    """Fill folder/root with the packages and folder/version with the version of libdqlite0."""
    reasons = []
    for source in debian_mirrors():
        work = folder / "download"
        shutil.rmtree(work, ignore_errors=True)
        try:
            packages = PrivateApt(work, source, suite).download()
            unpacked = work / "root"
            for package in packages:
                run(["dpkg", "-x", str(package), str(unpacked)], 60)
            library = [str(p) for p in packages if p.name.startswith("libdqlite0_")]
            version = run(["dpkg-deb", "-f", *library, "Version"], 20).strip()
            shutil.rmtree(folder / "root", ignore_errors=True)
            unpacked.replace(folder / "root")
            write_atomically(folder / "version", version + "\n")
            return
        except Unavailable as e:
            reasons.append(str(e))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise Unavailable("; ".join(dict.fromkeys(reasons)))


# ------------------------------------------------------------------------------------------- the servers


def libraries_of(root):
    """Below a root: libdqlite, the loader, and the search path for it."""
    loaders = [p for p in root.glob("**/ld-linux*.so.*") if p.is_file() and not p.is_symlink()]
    libraries = list(root.glob("**/libdqlite.so.0"))
    if not loaders or not libraries:
        raise Unavailable("the packages hold no loader or no libdqlite")
    path = ":".join(dict.fromkeys(str(file.parent) for file in (libraries[0], loaders[0])))
    return libraries[0], loaders[0], path


def compile_node(output, root=None):
    """Build dqc-node natively, or against the headers and library below a root."""
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-g", str(NODE_SOURCE), "-o", f"{output}.new"]
    if root:
        # That libdqlite needs a newer C library than this system's; it gets it when it runs.
        command += ["-I", str(root / "usr" / "include"), "-Wl,--allow-shlib-undefined", str(libraries_of(root)[0])]
    else:
        command += ["-ldqlite"]
    run(command, COMPILE_LIMIT_S)
    os.replace(f"{output}.new", output)  # a node running from the old file keeps it


def wrapper(root, binary):
    _, loader, path = libraries_of(root)
    words = " ".join(shlex.quote(str(w)) for w in (loader, "--library-path", path, binary))
    return f'#!/bin/sh\nexec {words} "$@"\n'


def library_number(command):
    """The version number the library itself reports; shows that the node starts at all."""
    return int(run([str(command), "--version"], 20).split()[-1])


def check_is_self_contained(root, binary):
    """The loader would use the system's libraries in silence; such a mixture must not pass."""
    _, loader, path = libraries_of(root)
    listed = run([str(loader), "--library-path", path, "--list", str(binary)], 20)
    foreign = [file for file in re.findall(r"=> (\S+)", listed) if not file.startswith(f"{root}/")]
    if foreign:
        raise Unavailable(f"the packages lack {', '.join(foreign)}")


def up_to_date(folder, stamp):
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "stamp").read_text()) == stamp and os.access(folder / "dqc-node", os.X_OK)
    return False


def stamp_for(folder, version):
    """What a built server depends on; the folder, because the wrapper names it."""
    source = hashlib.sha256(NODE_SOURCE.read_bytes()).hexdigest()
    return {"version": version, "source": source, "folder": str(folder)}


def provide_suite(name, folder, refresh):
    have = (folder / "root").is_dir() and (folder / "version").is_file()
    if refresh or not have:
        say(f"{name}: downloading")
        try:
            unpack_suite(SUITES[name], folder)
        except Unavailable as e:
            if not have:
                raise
            say(f"{name}: keeping the one at hand: {e}")
    version = (folder / "version").read_text().strip()
    stamp, command = stamp_for(folder, version), folder / "dqc-node"
    if not up_to_date(folder, stamp):
        compile_node(folder / "dqc-node.bin", folder / "root")
        write_atomically(command, wrapper(folder / "root", folder / "dqc-node.bin"), 0o755)
        check_is_self_contained(folder / "root", folder / "dqc-node.bin")
        library_number(command)
        write_atomically(folder / "stamp", json.dumps(stamp) + "\n")
    return version, command


def provide_distro(folder, given):
    version = ""
    with contextlib.suppress(Unavailable):
        version = run(["dpkg-query", "-W", "-f", "${Version}", "libdqlite0"], 20).strip()
    if given:
        command = Path(given).resolve()
        if not os.access(command, os.X_OK):
            raise Unavailable(f"{command} is not an executable")
    else:
        stamp, command = stamp_for(folder, version), folder / "dqc-node"
        if not version or not up_to_date(folder, stamp):
            compile_node(command)
            write_atomically(folder / "stamp", json.dumps(stamp) + "\n")
    number = library_number(command)
    if not version:  # no Debian package of that name: major * 10000 + minor * 100 + release
        version = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return version, command


def provide(name, cache, arguments):
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if name == "distro":
            version, command = provide_distro(folder, arguments.distro_node)
        else:
            version, command = provide_suite(name, folder, arguments.refresh)
    except (Unavailable, OSError) as e:
        say(f"{name}: unavailable: {e}")
        return {"name": name, "available": False, "reason": str(e)}
    era = expected_era(version)
    say(f"{name}: libdqlite {version}, era {era}: {command}")
    return {"name": name, "available": True, "version": version, "expected_era": era, "command": str(command)}


def default_cache():
    if os.environ.get("DQC_CACHE"):
        return Path(os.environ["DQC_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dqclient" / "servers"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distro-node", metavar="PATH", help="dqc-node built natively (default: build one)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=NAMES,
                        help="only this server, in the list too; repeatable")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the list (default: servers.json in the cache)")
    parser.add_argument("--cache", metavar="DIR", type=Path, default=default_cache(),
                        help="default: $DQC_CACHE, else dqclient/servers in the user's cache folder")
    parser.add_argument("--refresh", action="store_true", help="download again, to follow Debian testing")
    arguments = parser.parse_args()

    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    out = arguments.out or cache / "servers.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits, then finds everything there
        servers = [provide(name, cache, arguments) for name in arguments.only or NAMES]
        write_atomically(out, json.dumps({"servers": servers}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as e:
        say(f"cannot write the cache or the list: {e}")
        sys.exit(1)
