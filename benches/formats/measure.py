"""measure.py FORGE WORK ROUNDS RESULTS : runs the cases in turn and shows what they took."""

import os
import pathlib
import statistics
import subprocess
import sys
import time

forge, work, rounds, results = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
STREAM = ["-O", "vmdk", "-o", "subformat=streamOptimized"]


def ours(source, target, *options):
    return [forge, "disk", "convert", source, target, "--force", *options]


# name, (their command, its output), (our command, its output)
CASES = [
    ("raw → VMDK, level 5 (default)", (["qemu-img", "convert", *STREAM, "disk.raw", "q.vmdk"], "q.vmdk"),
     (ours("disk.raw", "f5.vmdk"), "f5.vmdk")),
    ("raw → VMDK, level 6", (["qemu-img", "convert", *STREAM, "disk.raw", "q.vmdk"], "q.vmdk"),
     (ours("disk.raw", "f6.vmdk", "--level", "6"), "f6.vmdk")),
    ("raw → VMDK, --fast", (["qemu-img", "convert", *STREAM, "disk.raw", "q.vmdk"], "q.vmdk"),
     (ours("disk.raw", "f1.vmdk", "--fast"), "f1.vmdk")),
    ("qcow2 → VMDK, level 5", (["qemu-img", "convert", *STREAM, "disk.qcow2", "q.vmdk"], "q.vmdk"),
     (ours("disk.qcow2", "f5.vmdk"), "f5.vmdk")),
    ("VMDK → raw", (["qemu-img", "convert", "-O", "raw", "q.vmdk", "q.raw"], "q.raw"),
     (ours("q.vmdk", "f.raw"), "f.raw")),
    ("VMDK → qcow2", (["qemu-img", "convert", "-O", "qcow2", "q.vmdk", "q.qcow2"], "q.qcow2"),
     (ours("q.vmdk", "f.qcow2"), "f.qcow2")),
]


def run(command, output):
    """CPU and wall seconds, MiB at the peak, bytes written."""
    target = work / output
    target.unlink(missing_ok=True)
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    written = target.stat()
    size = written.st_size if output.endswith(".vmdk") else written.st_blocks * 512
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, size


def same(one, other):
    subprocess.run(["qemu-img", "compare", "-q", one, other], cwd=work, check=True)


def limits():
    """What cannot be avoided, whatever the compression: reading the data once and hashing what is written."""
    start = time.process_time()
    data = 0
    with open(work / "disk.raw", "rb", buffering=0) as disk:
        place, size = 0, os.fstat(disk.fileno()).st_size
        buffer = bytearray(1 << 20)
        while place < size:
            try:
                place = os.lseek(disk.fileno(), place, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(disk.fileno(), place, os.SEEK_HOLE)
            os.lseek(disk.fileno(), place, os.SEEK_SET)
            while place < end:
                place += disk.readinto(memoryview(buffer)[: min(len(buffer), end - place)])
                data += len(buffer)
    read = time.process_time() - start
    start = time.process_time()
    import hashlib
    with open(work / "f5.vmdk", "rb") as file:
        hashlib.file_digest(file, "sha256")
    return read, time.process_time() - start


chosen = [case for case in CASES if os.environ.get("CASES", "") in case[0]]
subprocess.run(["qemu-img", "convert", "-O", "qcow2", "disk.raw", "disk.qcow2"], cwd=work, check=True)
if not any("q.vmdk" in case[1][0] and case[1][1] == "q.vmdk" for case in chosen):
    subprocess.run(["qemu-img", "convert", *STREAM, "disk.raw", "q.vmdk"], cwd=work, check=True)
(work / "disk.raw").open("rb").read(1)
load = os.getloadavg()[0]
rows = []
for number in range(rounds):
    for name, theirs, mine in chosen:
        for tool, case in (("qemu-img", theirs), ("forge", mine)):
            rows.append((name, tool, number + 1, *run(*case)))
            same("disk.raw", case[1])
with results.open("w") as out:
    out.write("case\ttool\tround\tcpu\twall\tpeak_mib\tbytes\n")
    for row in rows:
        out.write("\t".join(str(value) for value in row) + "\n")


def column(name, tool, index):
    return [row[index] for row in rows if row[:2] == (name, tool)]


def middle(name, tool, index):
    return statistics.median(column(name, tool, index))


def ratio(name, index):
    """Theirs by ours, in the middle of the rounds."""
    pairs = zip(column(name, "qemu-img", index), column(name, "forge", index))
    return statistics.median(theirs / mine for theirs, mine in pairs)


print(f"{rounds} rounds; load {load:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} CPUs")
print("| case | qemu-img CPU s | forge CPU s | less CPU | qemu-img wall s | forge wall s | quicker | size | forge peak MiB |")
print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
for name, _, _ in chosen:
    cells = []
    for index in (3, 4):
        cells += [f"{middle(name, tool, index):.2f}" for tool in ("qemu-img", "forge")] + [f"{ratio(name, index):.2f}x"]
    size = middle(name, "forge", 6) / middle(name, "qemu-img", 6)
    print(f"| {name} | {' | '.join(cells)} | {(size - 1) * 100:+.1f} % | {middle(name, 'forge', 5):.0f} |")
if (work / "f5.vmdk").exists():
    read, digest = limits()
    print(f"Not to be avoided: reading the data {read:.2f} s of CPU, SHA-256 of the VMDK {digest:.2f} s; the rest is deflate.")
