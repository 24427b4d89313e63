#!/usr/bin/env python3
"""Two ways in which QEMU keeps a running machine, compared on one guest.

snapshots.py STATE CACHE WORK [ROUNDS]

The guest is what the stage `iso-base` of a project has left (STATE is its .forge, CACHE forge's cache), booted anew for each
way and each size of memory, until it greets at its SSH port. Then, ROUNDS times:

  job    `snapshot-save` into the disk's qcow2 file, and `snapshot-load` by a new QEMU
  file   a new layer on top of the disk (`blockdev-snapshot`) and the memory to a file (`migrate`), and `-incoming` by a
         new QEMU; the memory compressed by zstd, as forge does, and as it is

Measured: how long the guest stands still (save), what that adds on the host's disk, how long a new QEMU takes from its start
until the guest runs again (load), and until it greets at its SSH port (greeting).
"""

import json
import pathlib
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time


class Machine:
    """A QEMU like forge's of benches/packer: translation, one processor, everything virtio."""

    def __init__(self, work, disk, memory, *more):
        self.port = free_port()
        path = work / "qmp.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-accel", "tcg", "-cpu", "qemu64", "-m", str(memory)]
            + ["-display", "none", "-vga", "std", "-device", "virtio-rng-pci", "-qmp", f"unix:{path}"]
            + ["-blockdev", json.dumps(disk), "-device", "virtio-blk-pci,drive=disk0"]
            + ["-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=net0"]
            + list(more)
        )
        stream, _ = listener.accept()
        self.lines = stream.makefile("rw")
        self.lines.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        self.lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def job(self, name, **arguments):
        self.command(name, **{"job-id": "job"}, **arguments)
        while True:
            job = next(job for job in self.command("query-jobs") if job["id"] == "job")
            if job["status"] == "concluded":
                if "error" in job:
                    raise RuntimeError(f"{name}: {job['error']}")
                return self.command("job-dismiss", id="job")
            time.sleep(0.005)

    def transferred(self):
        while True:
            status = self.command("query-migrate").get("status")
            if status == "completed":
                return
            if status == "failed":
                raise RuntimeError("the memory was not transferred")
            time.sleep(0.005)

    def greets(self):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as stream:
                    stream.settimeout(2)
                    if stream.recv(4) == b"SSH-":
                        return time.monotonic() - self.began
            except OSError:
                pass
            time.sleep(0.02)

    def end(self):
        self.command("quit")
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def layers_of(state, cache):
    with sqlite3.connect(state / "forge.db") as db:
        rows = db.execute("SELECT artifact FROM records WHERE stage LIKE '%iso-base%' ORDER BY number DESC LIMIT 1")
        disk = json.loads(rows.fetchone()[0])["machine"]["disks"][0]
    return [cache / "objects" / layer[:2] / layer for layer in disk["layers"]]


def node(layers, name="disk0"):
    below = None
    for layer in layers[:-1]:
        file = {"driver": "file", "filename": str(layer), "read-only": True}
        below = {"driver": "qcow2", "read-only": True, "file": file, "backing": below}
    file = {"driver": "file", "filename": str(layers[-1])}
    return {"driver": "qcow2", "node-name": name, "file": file, "backing": below}


def new_layer(path, base):
    path.unlink(missing_ok=True)
    size = json.loads(subprocess.check_output(["qemu-img", "info", "-U", "--output=json", str(base)]))["virtual-size"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", base.name, "-F", "qcow2", str(path), str(size)], check=True)
    return path


def used(*paths):
    return sum(path.stat().st_blocks * 512 for path in paths if path.exists())


def with_job(work, base, memory):
    top = new_layer(work / "top.qcow2", base[-1])
    machine = Machine(work, node([*base, top]), memory)
    machine.greets()
    before, began = used(top), time.monotonic()
    machine.command("stop")
    machine.job("snapshot-save", tag="kept", vmstate="disk0", devices=["disk0"])
    machine.command("cont")
    saved, size = time.monotonic() - began, used(top) - before
    machine.end()
    machine = Machine(work, node([*base, top]), memory, "-S")
    machine.job("snapshot-load", tag="kept", vmstate="disk0", devices=["disk0"])
    machine.command("cont")
    return saved, size, time.monotonic() - machine.began, finish(machine)


def with_file(work, base, memory, write, read):
    top, next_top, file = new_layer(work / "top.qcow2", base[-1]), work / "next.qcow2", work / "memory"
    machine = Machine(work, node([*base, top]), memory)
    machine.greets()
    new_layer(next_top, top)
    file.unlink(missing_ok=True)
    before, began = used(top, next_top), time.monotonic()
    machine.command("stop")
    machine.command("blockdev-add", **{**node([next_top], "disk1")})
    machine.command("blockdev-snapshot", node="disk0", overlay="disk1")
    machine.command("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
    machine.command("migrate", uri=f"exec:{write} >{file}")
    machine.transferred()
    machine.command("cont")
    saved, size = time.monotonic() - began, used(top, next_top, file) - before
    machine.end()
    again = new_layer(work / "again.qcow2", top)
    machine = Machine(work, node([*base, top, again]), memory, "-S", "-incoming", f"exec:{read} <{file}")
    machine.transferred()
    machine.command("cont")
    return saved, size, time.monotonic() - machine.began, finish(machine)


def finish(machine):
    greeting = machine.greets()
    machine.end()
    return greeting


def main(state, cache, work, rounds="3"):
    base, work = layers_of(pathlib.Path(state), pathlib.Path(cache)), pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    ways = {
        "job: snapshot-save, snapshot-load": with_job,
        "file: zstd": lambda *rest: with_file(*rest, "zstd -q -1", "zstd -q -d"),
        "file: as it is": lambda *rest: with_file(*rest, "cat", "cat"),
    }
    print("| way | guest's memory | save s | MB | load s | greeting s |")
    print("|---|--:|--:|--:|--:|--:|")
    for memory in (512, 2048):
        for name, way in ways.items():
            times = [way(work, base, memory) for _ in range(int(rounds))]
            saved, size, loaded, greeting = (statistics.median(column) for column in zip(*times))
            print(f"| {name} | {memory} MiB | {saved:.2f} | {size / 1e6:.1f} | {loaded:.2f} | {greeting:.2f} |", flush=True)
    shutil.rmtree(work)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:5])
