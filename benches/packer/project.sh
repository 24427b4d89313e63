# What the comparisons on QEMU begin with: sourced by their `run` after `root` is set. Checks the tools, finds or builds forge
# ($forge), and makes the project ($project) in a work directory ($work) that goes at the end.
#
# Environment: ISO (a ready mini.iso), FORGE (a ready binary), KEEP=1 (leave the work directory).
# shellcheck shell=bash

# shellcheck source=../../scripts/host/packages.sh
. "$root/scripts/host/packages.sh"
need build run bench
need_rust
case $(packer version) in *" v1.6."*) ;; *) echo "note: made for Packer 1.6, this is $(packer version)" >&2 ;; esac

work=$(mktemp -d)
finish() {
    code=$?
    if [ "$code" != 0 ] && [ -f "$work/log" ]; then
        tail -n 40 "$work/log" >&2
    fi
    if [ -n "${KEEP:-}" ]; then echo "left: $work"; else rm -rf "$work"; fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -n "${FORGE:-}" ]; then
    forge=$(realpath "$FORGE")
else
    (cd "$root" && cargo build --release --locked --quiet)
    forge=$root/target/release/forge
fi

project=$work/project
mkdir -p "$project/vars" "$work/tmp" "$(dirname "$results")"
cp -R "$root"/benches/packer/{builds.toml,base.json,layer.json,kickstart,scripts} "$project/"
if [ -n "${ISO:-}" ]; then cp "$ISO" "$project/mini.iso"; else "$root/scripts/mini-iso/build.sh" "$project/mini.iso"; fi
checksum=sha256:$(sha256sum "$project/mini.iso" | cut -d' ' -f1)
echo "checksum = \"$checksum\"" >"$project/vars/iso.toml"
python3 - "$project/files" <<'PYTHON'
import pathlib, random, sys
files, source = pathlib.Path(sys.argv[1]), random.Random(1)
(files / "small").mkdir(parents=True)
for number in range(200):
    (files / f"small/f{number:03}.txt").write_bytes(source.randbytes(source.randint(200, 8000)))
(files / "big.bin").write_bytes(source.randbytes(50 << 20))
PYTHON

export FORGE_CACHE_DIR=$work/forge-cache PACKER_CACHE_DIR=$work/packer-cache TMPDIR=$work/tmp
export CHECKPOINT_DISABLE=1 PACKER_NO_COLOR=1 NO_COLOR=1

# measured STEP TOOL COMMAND...
measured() {
    "$root/benches/packer/measure.py" time "$results" "$round" "$1" "$2" "$work/log" timeout 1800 "${@:3}"
}

with_packer() {
    PATH=$root/benches/packer/bin:$PATH "$@"
}

base="packer build -force -var iso_checksum=$checksum base.json"
layer="packer build -force layer.json"
# starts afresh, with the scripts as they are here
afresh() {
    rm -rf "$FORGE_CACHE_DIR" "$PACKER_CACHE_DIR" .forge out-*
    cp -R "$root/benches/packer/scripts" .
}

rm -f "$results"
echo "$(uname -m), $(nproc) CPUs, $(qemu-system-x86_64 --version | head -n 1), $("$forge" --version), $(packer version)"
uptime
