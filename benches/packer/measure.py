#!/usr/bin/env python3
"""Times commands for `run` and shows medians.

measure.py time RESULTS ROUND STEP TOOL LOG COMMAND...   runs COMMAND and adds a row to RESULTS
measure.py start RESULTS COUNT TOOL COMMAND...           the same for a start-up, COUNT times
measure.py table RESULTS                                 medians and ratios
"""

import pathlib
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # nothing is left beside the shared module
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from results import show  # noqa: E402

COLUMNS = ["round", "step", "tool", "wall_s", "cpu_s", "load"]


def processor_seconds():
    """What all finished children (QEMU among them) have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(results, round_, step, tool, command, log):
    """Runs one command; a row is written only when it succeeds."""
    load = open("/proc/loadavg").read().split()[0]
    before, began = processor_seconds(), time.monotonic()
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
    wall = time.monotonic() - began
    if code == 0:
        row = [round_, step, tool, f"{wall:.4f}", f"{processor_seconds() - before:.4f}", load]
        with open(results, "a") as out:
            if out.tell() == 0:
                print(*COLUMNS, sep="\t", file=out)
            print(*row, sep="\t", file=out)
    return code, wall


def main(mode, results, *rest):
    if mode == "time":
        round_, step, tool, log, *command = rest
        with open(log, "w") as out:
            code, wall = run(results, round_, step, tool, command, out)
        if code:
            print(f"{tool}, {step}: exit code {code} after {wall:.1f} s", file=sys.stderr)
        else:
            print(f"  {step:24} {tool:7} {wall:8.2f} s", flush=True)
        return code
    if mode == "start":
        count, tool, *command = rest
        for number in range(int(count)):
            code, _ = run(results, number + 1, "start-up", tool, command, subprocess.DEVNULL)
            if code:
                print(f"{' '.join(command)}: exit code {code}", file=sys.stderr)
                return code
        return 0
    show(results, [("wall_s", "s", 1), ("cpu_s", "CPU s", 1)])
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
