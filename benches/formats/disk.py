"""disk.py WORK MIB TREE : makes WORK/disk.raw, a disk of 8 GiB (more for much content) as a finished guest leaves it.

An MBR and one ext4 file system: 80 % of MIB real files of TREE, spread over all of it, 5 % random data, 7 % zeros, and 8 % that was
written and deleted. The same TREE gives the same content.
"""

import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys

work, mib, tree = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
content, total = work / "content", mib << 20
START = 1 << 20

files = sorted(
    os.path.join(place, name) for place, _, names in os.walk(tree) for name in names
    if not os.path.islink(os.path.join(place, name)))
stride = (len(files) // 7 or 1) | 1
deleted = []


def copy(share, folder):
    """Copies files until there are so many bytes; where it ended last time it goes on."""
    done = 0
    while done < total * share and copy.next < len(files):
        source = files[copy.next * stride % len(files)]
        copy.next += 1
        target = content / folder / str(copy.next)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, target)
        except OSError:
            continue
        done += target.stat().st_size
        yield target


copy.next = 0
kept = sum(path.stat().st_size for path in copy(0.80, "files"))
deleted = [path.relative_to(content) for path in copy(0.08, "deleted")]
(content / "random").write_bytes(random.Random(1).randbytes(total * 5 // 100))
with open(content / "zeros", "wb") as zeros:
    for _ in range(total * 7 // 100 >> 20):
        zeros.write(bytes(1 << 20))

disk, size = work / "disk.raw", max(8 << 30, total * 3)
with open(disk, "wb") as out:
    out.truncate(size)
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", START // 512, (size - START) // 512)
    out.seek(440)
    out.write(b"FORG\0\0" + entry + bytes(48) + b"\x55\xaa")
subprocess.run(
    ["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={START},lazy_itable_init=1,nodiscard", "-d", content, disk,
     f"{(size - START) // 1024}k"], check=True)
commands = "".join(f"rm /{path}\n" for path in deleted)
subprocess.run(
    ["debugfs", "-w", "-f", "/dev/stdin", f"{disk}?offset={START}"], input=commands, text=True, check=True,
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(content)
used = disk.stat().st_blocks * 512 >> 20
print(f"disk: {size >> 30} GiB, {used} MiB of them written: {kept >> 20} MiB of files, {len(deleted)} deleted ones")
