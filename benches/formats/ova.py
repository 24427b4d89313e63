"""ova.py OVF OVA : packs an appliance the way Python scripts do, image-builder's among them.

The digest of each file goes into the manifest, all of them into a tar file by `tarfile`, and the digest of that into OVA.sha256: the
disk is read three times and written once.
"""

import hashlib
import pathlib
import re
import sys
import tarfile

ovf, ova = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(64 << 10):
            total.update(piece)
    return total.hexdigest()


files = [ovf] + [ovf.parent / name for name in re.findall(r'ovf:href="([^"]+)"', ovf.read_text())]
manifest = ovf.with_suffix(".mf")
manifest.write_text("".join(f"SHA256({file.name})= {digest(file)}\n" for file in files))
with open(ova, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
    for file in [ovf, manifest, *files[1:]]:
        tar.add(file, arcname=file.name)
pathlib.Path(f"{ova}.sha256").write_text(digest(ova))
