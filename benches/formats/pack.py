"""pack.py FORGE WORK ROUNDS MIB OVA.PY RESULTS : see `pack`."""

import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

forge, work, rounds, mib = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
driver, results = sys.argv[5:7]

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="app-disk1.vmdk" ovf:size="{}"/></References>
  <VirtualSystem ovf:id="app"><Info>Measured</Info></VirtualSystem>
</Envelope>
"""
source = work / "source"
source.mkdir()
digest = hashlib.sha256()
with open(source / "app-disk1.vmdk", "wb") as out:
    for _ in range(mib):
        piece = os.urandom(1 << 20)
        digest.update(piece)
        out.write(piece)
(source / "app.ovf").write_text(OVF.format(mib << 20))
known = f"SHA256(app-disk1.vmdk)= {digest.hexdigest()}\n"

PYTHON = [sys.executable, driver, "app.ovf", "app.ova"]
FORGE = [forge, "ova", "pack", "app.ovf"]
CASES = [
    ("Python: digests, tar, digest", PYTHON),
    ("forge, the disk becomes the OVA", [*FORGE, "--keep-manifest", "--move"]),
    ("forge, copied", [*FORGE, "--keep-manifest"]),
    ("forge, copied, digest unknown, manifest last", [*FORGE, "--manifest-last"]),
    ("forge, copied, digest unknown", FORGE),
]


def run(command):
    """Wall and CPU seconds, MiB read and written by system calls, MiB at the peak."""
    place = work / "run"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place)
    (place / "app.mf").write_text(known)
    # the copy is on its way to the disk: neither side should wait for that
    os.sync()
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
    counts = {}

    def watch():
        while True:
            try:
                lines = pathlib.Path(f"/proc/{child.pid}/io").read_text().split("\n")
            except OSError:
                return
            counts.update(line.split(": ") for line in lines if line)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    watcher.join()
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    mebi = [int(counts.get(key, 0)) / (1 << 20) for key in ("rchar", "wchar")]
    return (wall, usage.ru_utime + usage.ru_stime, *mebi, usage.ru_maxrss / 1024)


rows = {name: [] for name, _ in CASES}
for _ in range(rounds):
    for name, command in CASES:
        rows[name].append(run(command))
with open(results, "w") as out:
    print("case", "wall s", "cpu s", "read MiB", "written MiB", "peak MiB", sep="\t", file=out)
    for name, values in rows.items():
        for value in values:
            print(name, *(f"{number:.3f}" for number in value), sep="\t", file=out)
medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in rows.items()}
theirs = medians[CASES[0][0]]
print(f"disk: {mib} MiB, {rounds} rounds")
print(f"{'':<46}{'wall s':>8}{'ratio':>7}{'cpu s':>8}{'ratio':>7}{'read':>8}{'written':>9}{'peak MiB':>10}")
for name, (wall, cpu, read, written, peak) in medians.items():
    print(f"{name:<46}{wall:>8.2f}{theirs[0] / wall:>7.2f}{cpu:>8.2f}{theirs[1] / cpu:>7.2f}"
          f"{read / mib:>7.2f}x{written / mib:>8.2f}x{peak:>10.1f}")
for name, values in rows.items():
    print(f"{name}: wall {min(v[0] for v in values):.2f} to {max(v[0] for v in values):.2f} s")
