#!/usr/bin/env python3
"""compare.py ROUNDS RESULTS FORGE DOUBLE ISO: what `run` measures, once all of it is there."""

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # nothing is left beside the shared module
sys.path.insert(0, str(HERE.parent))
from results import show  # noqa: E402

SHARED = HERE.parent / "packer"  # the kickstart and the scripts are those of that comparison
LIMIT = 1800  # seconds for one step
COLUMNS = ["round", "step", "tool", "wall_s", "cpu_s", "load", "server_cpu_s", "soap", "requests", "sent", "received"]
TABLES = [
    [("wall_s", "s", 1), ("cpu_s", "CPU s", 1), ("server_cpu_s", "server CPU s", 1)],
    [("soap", "SOAP calls", None), ("requests", "requests", None), ("sent", "MB sent", 1e6), ("received", "MB received", 1e6)],
]


class Failed(Exception):
    """Something that was to be measured went wrong; it has been told."""


def die_with_parent():
    """In a new child: even a killed comparison leaves nothing running."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def end(process, patience):
    """Asks a process to end, then ends all of its session."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(path, lines=40):
    if path.exists():
        print("".join(path.read_text(errors="replace").splitlines(keepends=True)[-lines:]), file=sys.stderr)


class Double:
    """A vCenter of the tests, new and empty."""

    def __init__(self, program, directory, guest_net, traced):
        (directory / "tmp").mkdir(parents=True)
        self.log = directory / "vcenter.log"
        command = [program, "-guest-net", guest_net, "-max-mem", "512", "-max-cpus", "1", "-dir", directory / "vcenter"]
        if traced:
            command += ["-trace", directory / "trace"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                preexec_fn=die_with_parent, env={**os.environ, "TMPDIR": str(directory / "tmp")},
            )

    def ready(self):
        line = self.process.stdout.readline()
        if not line:
            tail(self.log)
            raise Failed("the vCenter did not start")
        about = json.loads(line)
        self.control = about["control"]
        self.environment = {
            "VCENTER_SERVER": about["url"].removeprefix("https://").removesuffix("/sdk"),
            "VCENTER_USERNAME": about["username"],
            "VCENTER_PASSWORD": about["password"],
        }

    def close(self):
        end(self.process, 20)

    def _calls(self, method):
        request = urllib.request.Request(self.control + "/calls", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def reset(self):
        self._calls("DELETE")

    def counts(self):
        seen = json.loads(self._calls("GET"))
        areas = (seen["http"] or {}).values()
        return {
            "soap": sum((seen["calls"] or {}).values()),
            "requests": sum(area["requests"] for area in areas),
            "sent": sum(area["in"] for area in areas),
            "received": sum(area["out"] for area in areas),
        }

    def cpu_seconds(self):
        """Its own processor time, and that of the guests and conversions that have ended."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Tool:
    """One side of the comparison: its project, its vCenter."""

    name: str
    directory: pathlib.Path
    double: Double
    environment: dict

    def run(self, command, log):
        """Runs a command to its end; returns its exit code and what it used."""
        def used():
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime

        with open(log, "w") as out:
            before, began = used(), time.monotonic()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory / "project",
                env={**self.environment, **self.double.environment}, start_new_session=True, preexec_fn=die_with_parent,
            )
            timer = threading.Timer(LIMIT, process.terminate)
            timer.daemon = True
            timer.start()
            try:
                code = process.wait()
                wall = time.monotonic() - began
            finally:
                timer.cancel()
                end(process, 60)
        return code, wall, used() - before


@dataclasses.dataclass
class Bench:
    results: pathlib.Path
    forge: pathlib.Path
    double: pathlib.Path
    work: pathlib.Path
    keep: bool
    checksum: str
    boot_wait: str
    ip_settle: str
    guest_net: str
    round: int = 0

    def prepare(self, name, number, stack):
        """A project and a vCenter for one tool, for one round."""
        directory = self.work / f"{self.round}-{name}"
        project = directory / "project"
        project.mkdir(parents=True)
        for file in ["builds.toml", "base.json", "image.json"]:
            shutil.copy(HERE / file, project)
        for part in ["kickstart", "scripts"]:
            shutil.copytree(SHARED / part, project / part)
        os.link(self.work / "mini.iso", project / "mini.iso")
        shutil.copytree(self.work / "files", project / "files", copy_function=os.link)
        (project / "vars").mkdir()
        (project / "vars/iso.toml").write_text(f'checksum = "{self.checksum}"\n')

        double = Double(self.double, directory / "server", f"{self.guest_net}.{200 + number}", self.keep)
        stack.callback(double.close)
        double.ready()
        (directory / "tmp").mkdir()
        foreign = ("FORGE_", "PACKER_", "PKR_", "VCENTER_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        environment |= {
            "FORGE_CACHE_DIR": str(directory / "cache"), "PACKER_CACHE_DIR": str(directory / "cache"),
            "PACKER_CONFIG_DIR": str(directory / "config"), "TMPDIR": str(directory / "tmp"),
            "CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "NO_COLOR": "1",
        }
        return Tool(name, directory, double, environment)

    def measure(self, step, tool, command):
        log = tool.directory / f"{step.replace(' ', '-')}.log"
        load = pathlib.Path("/proc/loadavg").read_text().split()[0]
        tool.double.reset()
        server = tool.double.cpu_seconds()
        code, wall, cpu = tool.run(command, log)
        if code:
            tail(log)
            tail(tool.double.log, 15)
            raise Failed(f"{tool.name}, {step}: exit code {code} after {wall:.1f} s")
        row = {
            "round": self.round, "step": step, "tool": tool.name, "wall_s": f"{wall:.4f}", "cpu_s": f"{cpu:.4f}", "load": load,
            "server_cpu_s": f"{tool.double.cpu_seconds() - server:.2f}", **tool.double.counts(),
        }
        with open(self.results, "a") as out:
            print(*(row[column] for column in COLUMNS), sep="\t", file=out)
        print(f"  {step:20} {tool.name:7} {wall:8.2f} s {row['soap']:6} SOAP calls", flush=True)

    def one_round(self):
        with contextlib.ExitStack() as stack:
            forge, packer = (self.prepare(name, number, stack) for number, name in enumerate(["forge", "packer"]))
            run = [self.forge, "run"]
            packer_build = ["packer", "build", "-force", f"-var=ip_settle={self.ip_settle}"]
            base = [*packer_build, f"-var=iso_checksum={self.checksum}", f"-var=boot_wait={self.boot_wait}", "base.json"]
            image = [*packer_build, "image.json"]
            both = ["sh", "-c", f'"$@" && exec {shlex.join(image)}', "sh", *base]

            def take_turns(step, ours, theirs):
                for tool, command in [(forge, ours), (packer, theirs)]:
                    self.measure(step, tool, command)
                if step != "base cold":
                    check(forge, "output/image/image.ova")
                    check(packer, "out-image/image.ova")

            take_turns("base cold", [*run, "base"], base)
            take_turns("image cold", [*run, "image"], image)
            take_turns("nothing changed", [*run, "image"], both)
            for tool in (forge, packer):
                script = tool.directory / "project/scripts/configure.sh"
                before = script.read_text()
                after = before.replace("echo v1 ", "echo v2 ")
                assert before != after
                script.write_text(after)
            take_turns("last script changed", [*run, "image"], image)
        if not self.keep:
            for tool in (forge, packer):
                shutil.rmtree(tool.directory)


def make_files(directory):
    """What is uploaded: 200 small files and 50 MB."""
    source = random.Random(1)
    (directory / "small").mkdir(parents=True)
    for number in range(200):
        (directory / f"small/f{number:03}.txt").write_bytes(source.randbytes(source.randint(200, 8000)))
    (directory / "big.bin").write_bytes(source.randbytes(50 << 20))


def sha256(file):
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def check(tool, ova):
    """What was built is an appliance: a descriptor, then files whose digests are those of the manifest, the 50 MB among it."""
    path = tool.directory / "project" / ova
    try:
        with tarfile.open(path) as archive:
            digests = {file.name: sha256(archive.extractfile(file)) for file in archive}
            names = list(digests)
            (manifest,) = (name for name in names if name.endswith(".mf"))
            listed = re.findall(r"^SHA256 ?\((.+)\) ?= ?([0-9a-f]{64})$", archive.extractfile(manifest).read().decode(), re.M)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise Failed(f"{tool.name}: {path}: {error}") from error
    whole = names[0].endswith(".ovf") and sorted(names) == sorted([manifest, *dict(listed)])
    if not whole or any(digests[name] != digest for name, digest in listed) or path.stat().st_size < 50 << 20:
        raise Failed(f"{tool.name}: {path} is no good appliance: {names}, {listed}")


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]


def main(rounds, results, forge, double, iso):
    def stop(number, _frame):
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # cleaning up is not interrupted
            signal.signal(again, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    keep = bool(os.environ.get("KEEP"))
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(tempfile.mkdtemp())
        if keep:
            stack.callback(print, f"left: {work}")
        else:
            stack.callback(shutil.rmtree, work, ignore_errors=True)
        # copies: whatever is rebuilt meanwhile, what is measured stays the same
        for path, name in [(forge, "forge"), (double, "vcenter-double"), (iso, "mini.iso")]:
            shutil.copy(path, work / name)
        make_files(work / "files")
        with open(work / "mini.iso", "rb") as file:
            checksum = f"sha256:{sha256(file)}"
        bench = Bench(
            results=pathlib.Path(results), forge=work / "forge", double=work / "vcenter-double", work=work, keep=keep,
            checksum=checksum, boot_wait=os.environ.get("BOOT_WAIT", "15s"), ip_settle=os.environ.get("IP_SETTLE", "5s"),
            guest_net=os.environ.get("GUEST_NET", "127.77"),
        )
        programs = [("qemu-system-x86_64", "--version"), (bench.forge, "--version"), ("packer", "version")]
        versions = [output_of(*program) for program in programs]
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, " + ", ".join(versions))
        print(output_of("uptime").strip(), flush=True)
        bench.results.write_text("\t".join(COLUMNS) + "\n")
        for bench.round in range(1, int(rounds) + 1):
            print(f"round {bench.round}", flush=True)
            bench.one_round()
        print(output_of("uptime").strip())
        for columns in TABLES:
            print()
            show(bench.results, columns)
        print(f"\nall values: {results}")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Failed as failure:
        sys.exit(str(failure))
