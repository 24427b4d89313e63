#!/usr/bin/env python3
"""measure.py FORGE WORK RESULTS COUNT... : builds the graphs, changes what the cases change, and shows what each tool took."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
FORGE, WORK, RESULTS = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
COUNTS = [int(count) for text in sys.argv[4:] for count in text.split()]
ROUNDS = int(os.environ.get("ROUNDS", "7"))
SHAPES = os.environ.get("SHAPES", "chain fan layered").split()
ROWS = []


def run(command, where, **more):
    """Wall and CPU seconds (with all children), and MiB at the peak, of a whole process."""
    before = os.times()
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = status
    after = os.times()
    del before, after
    if status:
        # ninja and make end by a signal on a chain that is too long for their stack
        return None if os.WIFSIGNALED(status) else sys.exit(f"{command}: {status}\n{said.decode()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def forge(project):
    return [FORGE, "run", "--cache-dir", str(project / "cache"), "--output", "plain", "-j2"]


def tools(project):
    return {"forge": forge(project), "ninja": ["ninja", "-j2"], "make": ["make", "-s", "-r", "-j2"]}


def note(shape, count, case, tool, values):
    for values_of_round in values:
        if values_of_round is not None:
            ROWS.append((shape, count, case, tool, *values_of_round))


def median(shape, count, case, tool, index):
    values = [row[4 + index] for row in ROWS if row[:4] == (shape, count, case, tool)]
    return statistics.median(values) if values else None


def project_of(shape, count, tool):
    """Each tool has a directory of its own: one must not see what the other has made."""
    where = WORK / f"{shape}-{count}-{tool}"
    subprocess.run([sys.executable, HERE / "generate.py", shape, str(count), where], check=True)
    return where


def settled(where):
    """forge's look at files is final once they are two seconds old; then a run without changes writes nothing any more."""
    graphs = where / ".forge/graphs"
    state = lambda: [(file.name, file.stat().st_mtime_ns) for file in graphs.iterdir()]
    for _ in range(100):
        before = state()
        run(forge(where), where)
        if state() == before:
            return
    sys.exit("the kept graph never settles")


def graph(shape, count):
    wheres = {tool: project_of(shape, count, tool) for tool in ("forge", "ninja", "make")}
    for tool, where in list(wheres.items()):
        first = run(tools(where)[tool], where)
        note(shape, count, "from scratch", tool, [first])
        if first is None:
            print(f"{shape} {count}: {tool} crashed", flush=True)
            shutil.rmtree(wheres.pop(tool))
    settled(wheres["forge"])
    for round_number in range(ROUNDS):
        for tool, where in wheres.items():
            note(shape, count, "nothing changed", tool, [run(tools(where)[tool], where)])
    for round_number in range(ROUNDS):
        os.utime(wheres["forge"] / "src/0")
        note(shape, count, "touched", "forge", [run(forge(wheres["forge"]), wheres["forge"])])
    # the last source that is read: as little as possible depends on it
    for round_number in range(ROUNDS):
        for tool, where in wheres.items():
            source = max((where / "src").iterdir(), key=lambda file: int(file.name))
            source.write_text(f"changed {round_number}\n")
            note(shape, count, "one leaf changed", tool, [run(tools(where)[tool], where)])
    for where in wheres.values():
        shutil.rmtree(where)


def spawned(count):
    """`true`, two at a time, by bare posix_spawn."""
    true = shutil.which("true")
    start, before = time.monotonic(), os.times()
    running = 0
    for _ in range(count):
        if running == 2:
            os.wait()
            running -= 1
        os.posix_spawn(true, ["true"], {})
        running += 1
    while running:
        os.wait()
        running -= 1
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return time.monotonic() - start, cpu, 0.0


def throughput(count):
    for _ in range(3):
        note("true", count, "from scratch", "posix_spawn", [spawned(count)])
        for tool in ("forge", "ninja"):
            where = project_of("true", count, tool)
            note("true", count, "from scratch", tool, [run(tools(where)[tool], where)])
            shutil.rmtree(where)


def show(value, form="{:.3f}"):
    return "–" if value is None else form.format(value)


def table():
    print("\n| graph | stages | case | forge s | ninja s | forge/ninja | make s | forge MiB | ninja MiB |")
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|")
    seen = []
    for row in ROWS:
        if row[:3] not in seen and row[0] != "true":
            seen.append(row[:3])
    for shape, count, case in seen:
        ours = median(shape, count, case, "forge", 0)
        against = "nothing changed" if case == "touched" else case
        theirs = median(shape, count, against, "ninja", 0)
        ratio = ours / theirs if ours and theirs else None
        cells = [shape, str(count), case, show(ours), show(theirs), show(ratio, "{:.2f}"),
                 show(median(shape, count, case, "make", 0)), show(median(shape, count, case, "forge", 2), "{:.0f}"),
                 show(median(shape, count, against, "ninja", 2), "{:.0f}")]
        print("| " + " | ".join(cells) + " |")
    for count in sorted({row[1] for row in ROWS if row[0] == "true"}):
        print(f"\n| {count} × `true`, two at a time | wall s | per second | CPU ms each | × posix_spawn |")
        print("|---|--:|--:|--:|--:|")
        bare = median("true", count, "from scratch", "posix_spawn", 1)
        for tool in ("posix_spawn", "ninja", "forge"):
            wall, cpu = (median("true", count, "from scratch", tool, index) for index in (0, 1))
            print(f"| {tool} | {wall:.2f} | {count / wall:.0f} | {cpu / count * 1000:.2f} | {cpu / bare:.2f} |")


print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}; {ROUNDS} rounds", flush=True)
for count in COUNTS:
    for shape in SHAPES:
        graph(shape, count)
        print(f"done: {shape} {count}", flush=True)
if not os.environ.get("NO_TRUE"):
    throughput(min(max(COUNTS), 10_000))
RESULTS.write_text("shape\tcount\tcase\ttool\twall\tcpu\tmib\n" + "".join("\t".join(map(str, row)) + "\n" for row in ROWS))
table()
print(f"\nload at the end: {os.getloadavg()[0]:.2f}; all values: {RESULTS}")
