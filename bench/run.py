#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure dqclient beside raw sockets on each server that can be had.

Starts a one-node server on loopback, runs the groups of dqc_bench on it, and prints a table. Ratios to the floor (the
same bytes by a bare socket, in the same run, taking turns) are what to compare; times drift with the machine.

Groups: select1, exec, stream, connect, threaded, pool, micro (the codec alone, no server).
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("select1", "exec", "stream", "connect", "threaded", "pool")
GROUP_LIMIT_S = 300
# Whose system calls are counted: (group, variant, operations).
SYSCALLS = (
    ("select1", "raw", 5000), ("select1", "cursor", 5000), ("select1", "callback", 5000),
    ("exec", "blocking", 5000), ("exec", "depth 256", 20000), ("threaded", "callback", 5000),
)


def die(text):
    sys.exit(f"bench: {text}")


def servers_of(build):
    """The list of tests/servers/fetch.py: what $DQC_SERVERS names, else made now from its cache."""
    given = os.environ.get("DQC_SERVERS") or os.environ.get("DQC_SERVERS_JSON")
    path = Path(given) if given else build / "servers.json"
    if not given:
        command = [sys.executable, str(ROOT / "tests/servers/fetch.py"), "--out", str(path)]
        node = build / "tools/dqc-node"
        if node.is_file():
            command += ["--distro-node", str(node)]
        subprocess.run(command, check=False)
    only = os.environ.get("DQC_SERVERS_ONLY")
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["servers"]
    except (OSError, ValueError, KeyError) as e:
        die(f"no list of servers in {path}: {e}")
    chosen = [s for s in servers if s["available"] and (not only or s["name"] in only.split(","))]
    return chosen or die("no server can be had: ./run setup installs libdqlite-dev")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(server):
    """A one-node server in a folder of its own; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="dqc-bench-") as folder:
        command = [server["command"], "--id", "1", "--address", address,
                   "--dir", f"{folder}/node", "--die-with-parent"]
        with open(f"{folder}/log", "w+", encoding="utf-8") as log:
            node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                line = node.stdout.readline()
                if not line.startswith("ready"):
                    log.seek(0)
                    die(f"server {server['name']} did not start: {log.read().strip()}")
                yield address
            finally:
                node.kill()
                node.wait()


def bench_command(build, address, group, quick):
    command = [str(build / "bench/dqc_bench"), "--address", address, "--group", group]
    return command + (["--quick"] if quick else [])


def measure(build, address, group, quick):
    done = subprocess.run(bench_command(build, address, group, quick), text=True, check=False,
                          stdout=subprocess.PIPE, timeout=GROUP_LIMIT_S)
    if done.returncode != 0:
        die(f"group {group} failed")
    return [json.loads(line) for line in done.stdout.splitlines()]


def count_syscalls(build, address, group, variant, ops):
    """System calls by name: a run with operations minus one without, per operation."""
    counts = []
    for n in (0, ops):
        with tempfile.NamedTemporaryFile("r", suffix=".strace") as out:
            command = ["strace", "-f", "-c", "-U", "name,calls", "-o", out.name,
                       *bench_command(build, address, group, True),
                       "--variant", variant, "--ops", str(n)]
            done = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
            if done.returncode != 0:
                return None
            found = re.findall(r"^(\w+)\s+(\d+)$", out.read(), re.MULTILINE)
            counts.append({name: int(calls) for name, calls in found if name != "total"})
    rates = {name: (calls - counts[0].get(name, 0)) / ops for name, calls in counts[1].items()}
    return {name: round(rate, 3) for name, rate in sorted(rates.items()) if rate >= 0.005}


def run_micro(build, quick):
    command = [str(build / "bench/dqc_bench_micro"), "--benchmark_format=json",
               f"--benchmark_min_time={0.05 if quick else 0.5}", "--benchmark_repetitions=5"]
    done = subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    rows = json.loads(done.stdout)["benchmarks"]
    medians = [r for r in rows if r.get("aggregate_name") == "median"]
    return [{"name": r["run_name"], "ns": round(1e9 / r["items_per_second"], 2)} for r in medians]


def machine():
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        cpu = found.group(1) if found else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.system(),
            "kernel": platform.release(), "load": round(os.getloadavg()[0], 2),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def print_group(results):
    first = results[0]
    units = first["units_per_op"]
    print(f"\n{first['group']}: one {first['unit']}")
    header = ("variant", "us" if units == 1 else "ns", "per second", "CPU", "ratio", "CPU ratio",
              "allocations")
    print("  {:<22}{:>10}{:>14}{:>10}{:>8}{:>11}{:>13}".format(*header))
    for r in results:
        scale = units if units > 1 else 1000
        ratios = [f"{r[k]:.2f}" if k in r else "floor" if k == "ratio" else ""
                  for k in ("ratio", "cpu_ratio")]
        print(f"  {r['variant']:<22}{r['wall_ns'] / scale:>10.2f}"
              f"{1e9 * units / r['wall_ns']:>14,.0f}{r['cpu_ns'] / scale:>10.2f}"
              f"{ratios[0]:>8}{ratios[1]:>11}{r['allocations']:>13.3f}")


def print_syscalls(rows):
    print("\nsystem calls an operation")
    for row in rows:
        calls = ", ".join(f"{name} {rate:g}" for name, rate in row["calls"].items())
        print(f"  {row['group'] + ' ' + row['variant']:<22}{calls}")


def bench_server(build, server, groups, quick):
    print(f"\n== {server['name']}: dqlite {server['version']}, era {server['expected_era']}")
    results, syscalls = [], []
    with running(server) as address:
        for group in groups:
            rows = measure(build, address, group, quick)
            print_group(rows)
            results += rows
        if not quick and shutil.which("strace"):
            for group, variant, ops in SYSCALLS:
                calls = count_syscalls(build, address, group, variant, ops) if group in groups else None
                if calls is not None:
                    syscalls.append({"group": group, "variant": variant, "calls": calls})
    if syscalls:
        print_syscalls(syscalls)
    return {"server": server["name"], "version": server["version"], "era": server["expected_era"],
            "results": results, "syscalls": syscalls}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="folder of a release build with DQC_BUILD_BENCH=ON")
    parser.add_argument("--quick", action="store_true", help="less than a minute, less exact")
    parser.add_argument("--only", choices=(*GROUPS, "micro"), metavar="GROUP", help="this group only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    if not (build / "bench/dqc_bench").is_file():
        die(f"no bench/dqc_bench in {build}")
    facts = machine()
    print(f"{facts['date']}  {facts['cpu']}, {facts['cores']} cores, {facts['system']} "
          f"{facts['kernel']}, load {facts['load']}")
    out = {"machine": facts, "quick": arguments.quick, "servers": [], "micro": []}
    if arguments.only in (None, "micro"):
        out["micro"] = run_micro(build, arguments.quick)
        print("\nmicro: nanoseconds a cell or request")
        for row in out["micro"]:
            print(f"  {row['name']:<22}{row['ns']:>10.2f}")
    if arguments.only != "micro":
        groups = [arguments.only] if arguments.only else GROUPS
        for server in servers_of(build):
            out["servers"].append(bench_server(build, server, groups, arguments.quick))
    if arguments.json:
        arguments.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
