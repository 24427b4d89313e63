#!/usr/bin/env python3
"""Copy programs, with every shared library they need, out of unpacked packages.

usage: elf_closure.py DESTINATION ROOT[:ROOT...] FILE...

Each FILE is a path relative to a ROOT (an unpacked package tree, usr-merged); the first ROOT that has it wins.
A minimal system made this way holds exactly what its programs load.
"""

import os
import shutil
import struct
import sys

LIBRARY_DIRS = ["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib/systemd"]
DYNAMIC_LOADER = "usr/lib64/ld-linux-x86-64.so.2"

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB = 1, 5


def needed_libraries(path):
    """The names under DT_NEEDED of a 64-bit ELF file; none for any other file."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:5] != b"\x7fELF\x02":
        return []
    header_offset = struct.unpack_from("<Q", data, 32)[0]
    header_count = struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<IIQQQQQQ", data, header_offset + 56 * i) for i in range(header_count)]
    segments = [(vaddr, offset, size) for kind, _, offset, vaddr, _, size, _, _ in headers if kind == PT_LOAD]

    def file_offset(address):
        return next(address - vaddr + offset for vaddr, offset, size in segments if vaddr <= address < vaddr + size)

    names, strings = [], None
    for kind, _, offset, _, _, size, _, _ in headers:
        if kind != PT_DYNAMIC:
            continue
        for entry in range(offset, offset + size, 16):
            tag, value = struct.unpack_from("<QQ", data, entry)
            if tag == DT_NEEDED:
                names.append(value)
            elif tag == DT_STRTAB:
                strings = file_offset(value)
    return [data[strings + name : data.index(b"\0", strings + name)].decode() for name in names]


class Closure:
    def __init__(self, destination, roots):
        self.destination = destination
        self.roots = roots
        self.done = set()

    def source(self, relative):
        for root in self.roots:
            path = os.path.join(root, relative)
            if os.path.lexists(path):
                return path
        return None

    def copy(self, relative):
        source = self.source(relative)
        if source is None:
            sys.exit(f"elf_closure: no unpacked package has {relative}")
        target = os.path.join(self.destination, relative)
        if os.path.islink(target):  # a busybox applet: the real program replaces it
            os.unlink(target)
        if relative in self.done:
            return
        self.done.add(relative)
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.realpath(source), target)
        for name in needed_libraries(target):
            self.copy_library(name, wanted_by=relative)

    def copy_library(self, name, wanted_by):
        if name.startswith("ld-linux"):
            return self.copy_loader()
        for directory in LIBRARY_DIRS:
            relative = f"{directory}/{name}"
            if self.source(relative):
                return self.copy(relative)
        sys.exit(f"elf_closure: {wanted_by} needs {name}, which no unpacked package has")

    def copy_loader(self):
        target = os.path.join(self.destination, DYNAMIC_LOADER)
        if os.path.exists(target):
            return
        source = self.source("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.realpath(source), target)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    closure = Closure(sys.argv[1], sys.argv[2].split(":"))
    for relative in sys.argv[3:]:
        closure.copy(relative)
    closure.copy_loader()


if __name__ == "__main__":
    main()
