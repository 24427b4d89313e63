#!/usr/bin/env python3
"""What `run` reads from forge's logs, and its tables.

report.py note RESULTS ROUND STATE   adds what the newest run's logs in STATE (.forge) tell
report.py table RESULTS              medians, ratios, and what the aims were
"""

import json
import pathlib
import re
import sqlite3
import statistics
import sys

LINE = re.compile(r"^\[ *(\d+\.\d+)\] (==|--|\|)? ?(.*)$")
KEEPING, RESUMING, WAITING = "keeping the running machine", "resuming the machine", "waiting for ssh"


def steps(log):
    """(seconds, text) of each step in a log."""
    found = (LINE.match(line) for line in log.read_text(errors="replace").splitlines())
    return [(float(line[1]), line[3]) for line in found if line and line[2] == "=="]


def note(results, round_, state):
    state = pathlib.Path(state)
    newest = max((state / "logs").iterdir(), key=lambda path: path.stat().st_mtime)
    rows = []
    for log in sorted(newest.glob("*.log")):
        told = steps(log)
        for (began, text), (ended, _) in zip(told, told[1:]):
            if text == KEEPING:
                rows.append(("a checkpoint taken", ended - began))
            if text == RESUMING:
                rows.append(("a kept machine loaded", ended - began))
        resumed = [at for at, text in told if text == RESUMING]
        first = [at for at, text in told if text.startswith("[")]
        if resumed and first:
            rows.append(("its first command done", first[0] - resumed[0]))
    load = open("/proc/loadavg").read().split()[0]
    with open(results, "a") as out:
        for step, seconds in rows:
            print(round_, step, "forge", f"{seconds:.4f}", "0", load, sep="\t", file=out)
        cache = pathlib.Path(sys.argv[5]) if len(sys.argv) > 5 else None
        for name, size in sizes(state, cache):
            print(round_, name, "bytes", size, "0", load, sep="\t", file=out)


def sizes(state, cache):
    import os

    cache = cache or pathlib.Path(os.environ["FORGE_CACHE_DIR"])
    with sqlite3.connect(state / "forge.db") as db:
        for stage, step, text in db.execute("SELECT stage, step, state FROM checkpoints"):
            kept = json.loads(text)
            memory = kept.get("memory")
            path = cache / "objects" / memory[:2] / memory if memory else None
            if path and path.exists():
                yield f"{json.loads(stage)['name']}, after {step} steps", path.stat().st_size


def table(results):
    names, *rows = (line.split("\t") for line in pathlib.Path(results).read_text().splitlines())
    rows = [dict(zip(names, row)) for row in rows]
    found = {}
    for row in rows:
        found.setdefault((row["step"], row["tool"]), []).append(float(row["wall_s"]))
    median = {key: statistics.median(values) for key, values in found.items()}
    print("| step | forge s | Packer s | forge/Packer | times |")
    print("|---|--:|--:|--:|--:|")
    for (step, tool), values in found.items():
        if tool != "forge":
            continue
        theirs = median.get((step, "packer"))
        ours = median[step, tool]
        shown = (f"{theirs:.1f}", f"{ours / theirs:.3f}") if theirs else ("", "")
        spread = f"{len(values)}: {min(values):.2f}–{max(values):.2f}"
        print(f"| {step} | {ours:.2f} | {shown[0]} | {shown[1]} | {spread} |")
    print("\n| memory of a kept machine | MB |\n|---|--:|")
    for (name, tool), value in median.items():
        if tool == "bytes":
            print(f"| {name} | {value / 1e6:.1f} |")
    print()
    aim("last script changed, against Packer", ratio(median, "last script changed"), 0.15)
    aim("nothing changed, s", median.get(("nothing changed", "forge")), 0.1)
    aim("a kept machine loaded, s", median.get(("a kept machine loaded", "forge")), 1)
    aim("its first command done, s", median.get(("its first command done", "forge")), 3.5)
    cold = [median.get((f"{part} cold{never}", "forge")) for never in ("", ", never") for part in ("base", "layer")]
    if all(cold):
        aim('cold, against `checkpoint = "never"`', (cold[0] + cold[1]) / (cold[2] + cold[3]), 1.05)


def ratio(median, step):
    ours, theirs = median.get((step, "forge")), median.get((step, "packer"))
    return ours / theirs if ours and theirs else None


def aim(what, value, most):
    if value is None:
        print(f"{what}: not measured")
    else:
        print(f"{what}: {value:.3f} (aim: at most {most}) {'met' if value <= most else 'NOT MET'}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    {"note": note, "table": table}[sys.argv[1]](*sys.argv[2:5])
