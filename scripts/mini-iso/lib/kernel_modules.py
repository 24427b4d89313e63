#!/usr/bin/env python3
"""Copy the kernel modules of a list, and all that they depend on, into a small module tree.

usage: kernel_modules.py LIST SOURCE DESTINATION

SOURCE and DESTINATION are /lib/modules/VERSION directories. depmod is left to the caller.
Dependencies are read from the modules themselves (.modinfo: "depends=" and "softdep=pre: ..."), because Debian's kernel
package carries no modules.dep.
"""

import os
import shutil
import sys


def canonical(name):
    return name.replace("-", "_")


def read_list(path):
    with open(path, encoding="utf-8") as file:
        words = [line.split("#")[0].split() for line in file]
    return [word for line in words for word in line]


def modinfo(data, key):
    """The value of a .modinfo entry, or an empty string."""
    start = data.find(b"\0" + key)
    if start < 0:
        return ""
    start += 1 + len(key)
    return data[start : data.index(b"\0", start)].decode()


def requirements(path, available):
    with open(path, "rb") as file:
        data = file.read()
    hard = [name for name in modinfo(data, b"depends=").split(",") if name]
    soft = modinfo(data, b"softdep=pre: ").split()
    return hard + [name for name in soft if canonical(name) in available]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    wanted, source, destination = read_list(sys.argv[1]), sys.argv[2], sys.argv[3]

    available = {}
    for directory, _, files in os.walk(os.path.join(source, "kernel")):
        for file in files:
            if file.endswith(".ko"):
                available[canonical(file[:-3])] = os.path.join(directory, file)
    with open(os.path.join(source, "modules.builtin"), encoding="utf-8") as file:
        builtin = {canonical(os.path.basename(line.strip())[:-3]) for line in file}

    done = set()
    while wanted:
        name = canonical(wanted.pop())
        if name in done or name in builtin:
            continue
        done.add(name)
        if name not in available:
            sys.exit(f"kernel_modules: the kernel has no module {name}")
        target = os.path.join(destination, os.path.relpath(available[name], source))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(available[name], target)
        wanted += requirements(available[name], available)

    for name in ("modules.builtin", "modules.order"):
        shutil.copy(os.path.join(source, name), destination)


if __name__ == "__main__":
    main()
