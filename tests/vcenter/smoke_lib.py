"""What the smoke test's steps have in common."""

import json
import pathlib
import ssl
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from pyVim.connect import SmartConnect
from pyVmomi import vim, vmodl

BIN, WORK, ISO = (pathlib.Path(a) for a in sys.argv[1:4])
START = time.time()
VDEV = vim.vm.device


def say(*words):
    print("[%6.1f]" % (time.time() - START), *words, flush=True)


def check(ok, what):
    if not ok:
        raise AssertionError(what)
    say("ok:", what)


def until(probe, what, limit=120):
    end = time.time() + limit
    while True:
        value = probe()
        if value:
            say("ok:", what, *["-> " + value] if isinstance(value, str) else [])
            return value
        if time.time() > end:
            raise AssertionError("timed out: " + what)
        time.sleep(0.3)


class Double:
    """One running test double."""

    def __init__(self, *args, through=()):
        self.log = open(WORK / "double.log", "ab")
        self.proc = subprocess.Popen(
            [*through, BIN / "vcenter-double", "-max-mem", "512", "-max-cpus", "2", *args],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.ready = json.loads(self.proc.stdout.readline())
        self.host = urllib.parse.urlsplit(self.ready["url"]).netloc
        # Verifying: with -tls ca the file is the authority's certificate.
        self.tls = ssl.create_default_context(cafile=self.ready["ca"])

    def login(self, password="password"):
        host, port = self.host.split(":")
        return SmartConnect(host=host, port=int(port), user=self.ready["username"], pwd=password, sslContext=self.tls)

    def control(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        req = urllib.request.Request(self.ready["control"] + path, data, method=method)
        with urllib.request.urlopen(req) as r:
            text = r.read()
        return json.loads(text) if text else None

    def fault(self, name, count=1, match="", arg=None):
        self.control("POST", "/fault", {"name": name, "count": count, "match": match, "arg": arg})

    def calm(self):
        self.control("DELETE", "/faults")

    def http(self, method, path, cookie=None, data=None, headers=None, timeout=None):
        req = urllib.request.Request(f"https://{self.host}{path}", data, method=method, headers=headers or {})
        if cookie:
            req.add_header("Cookie", cookie)
        try:
            with urllib.request.urlopen(req, timeout=timeout, context=self.tls) as r:
                return r.status, r.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def stop(self):
        self.proc.terminate()
        check(self.proc.wait(10) == 0, "SIGTERM ends it")


def wait(task, limit=120):
    end = time.time() + limit
    while task.info.state in ("queued", "running"):
        if time.time() > end:
            raise AssertionError("the task hangs: " + task.info.descriptionId)
        time.sleep(0.1)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


def refused(kind, what, call, message=None):
    """call fails with a fault of this kind, at once or in its task."""
    try:
        out = call()
        if isinstance(out, vim.Task):
            wait(out)
    except vmodl.MethodFault as e:
        check(isinstance(e, kind), f"{what}: {type(e).__name__}: {e.msg}")
        check(e.msg and (message is None or message in e.msg), f"{what}: says why")
        return e
    raise AssertionError(f"{what}: was not refused")


def floppy(files):
    """A FAT12 floppy image of a few small files with 8.3 names."""
    boot = b"\xeb\x3c\x90SMOKE   " + struct.pack("<HBHBHHBHHHII", 512, 1, 1, 2, 224, 2880, 0xF0, 9, 18, 2, 0, 0)
    boot += struct.pack("<BBBI11s8s", 0, 0, 0x29, 1, b"KS         ", b"FAT12   ")
    fat, root, data, cluster = {0: 0xFF0, 1: 0xFFF}, b"", b"", 2
    for name, text in files.items():
        base, ext = name.upper().split(".")
        need = max(1, -(-len(text) // 512))
        root += struct.pack("<8s3sB10xHHHI", base.ljust(8).encode(), ext.ljust(3).encode(), 0x20, 0, 0x5000, cluster, len(text))
        for i in range(need):
            fat[cluster + i] = cluster + i + 1 if i + 1 < need else 0xFFF
        cluster += need
        data += text.ljust(need * 512, b"\0")
    table = bytearray(9 * 512)
    for n, v in fat.items():
        at = n * 3 // 2
        if n % 2:
            table[at] |= v << 4 & 0xF0
            table[at + 1] = v >> 4
        else:
            table[at] = v & 0xFF
            table[at + 1] |= v >> 8
    image = boot.ljust(510, b"\0") + b"\x55\xaa" + bytes(table) * 2 + root.ljust(224 * 32, b"\0") + data
    return image.ljust(1474560, b"\0")


HID = {c: (4 + i, False) for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")}
HID |= {c: (30 + i, False) for i, c in enumerate("1234567890")}
HID |= {"\n": (40, False), "\t": (43, False), " ": (44, False), "-": (45, False), "=": (46, False),
        ":": (51, True), "/": (56, False), ".": (55, False)}


def keys(text):
    return vim.UsbScanCodeSpec(keyEvents=[
        vim.UsbScanCodeSpecKeyEvent(
            usbHidCode=HID[c][0] << 16 | 7,
            modifiers=vim.UsbScanCodeSpecModifierType(leftShift=HID[c][1])) for c in text])
