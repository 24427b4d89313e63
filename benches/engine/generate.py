#!/usr/bin/env python3
"""Writes the same graph as builds.toml, build.ninja and a Makefile.

usage: generate.py SHAPE COUNT DIR

SHAPE: chain    each stage reads the output of the one before
       fan      each stage reads a source of its own; one stage reads all outputs
       layered  ten in a hundred are layers; each stage reads three random outputs of the layer before (sources in the first)
       true     stages without inputs and outputs that run `true`
Every stage copies the digest of what it reads: `cksum INPUTS >OUTPUT`.
"""
import os
import random
import sys


def graph(shape, count):
    """(name, inputs that are sources, inputs that are stages)"""
    if shape == "chain":
        return [(f"s{i}", ["src/0"] if i == 0 else [], [f"s{i-1}"] if i else []) for i in range(count)]
    if shape == "fan":
        leaves = [(f"s{i}", [f"src/{i}"], []) for i in range(count - 1)]
        return leaves + [("all", [], [name for name, _, _ in leaves])]
    if shape == "true":
        return [(f"s{i}", [], []) for i in range(count)]
    width = max(count // 10, 1)
    rng = random.Random(7)
    stages, before = [], []
    for first in range(0, count, width):
        layer = [f"s{i}" for i in range(first, min(first + width, count))]
        for name in layer:
            if before:
                stages.append((name, [], sorted(rng.sample(before, min(3, len(before))))))
            else:
                stages.append((name, [f"src/{name[1:]}"], []))
        before = layer
    return stages


def main():
    shape, count, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    stages = graph(shape, count)
    os.makedirs(f"{where}/src", exist_ok=True)
    os.makedirs(f"{where}/out", exist_ok=True)
    for source in sorted({s for _, sources, _ in stages for s in sources}):
        with open(f"{where}/{source}", "w") as file:
            file.write(f"content of {source}\n")
    wanted = {i for _, _, inputs in stages for i in inputs}
    roots = [name for name, _, _ in stages if name not in wanted]
    with open(f"{where}/builds.toml", "w") as toml, open(f"{where}/build.ninja", "w") as ninja, \
            open(f"{where}/Makefile", "w") as make:
        toml.write('version = 1\ndefault = "everything"\n\n[project]\nname = "bench"\n\n')
        ninja.write("rule sum\n  command = cksum $in > $out\nrule true\n  command = true\n")
        make.write("MAKEFLAGS += -rR\neverything:" + "".join(f" out/{r}" for r in roots) + "\n")
        for name, sources, inputs in stages:
            if shape == "true":
                toml.write(f'[stages.{name}]\nkind = "command"\nrun = ["true"]\nalways = true\n\n')
                ninja.write(f"build out/{name}: true\n")
                make.write(f"out/{name}:\n\t@true\n")
                continue
            files = sources + [f"out/{i}" for i in inputs]
            listed = ", ".join(f'"{s}"' for s in sources)
            outputs = [f"{{{{ stages.{i}.outputs.o }}}}" for i in inputs]
            words = ", ".join(f'"{w}"' for w in ["./sum", "{{ outputs.o }}", *sources, *outputs])
            toml.write(f'[stages.{name}]\nkind = "command"\nrun = [{words}]\n')
            toml.write((f"inputs = [{listed}]\n" if sources else "") + f'outputs = {{ o = "out/{name}" }}\n\n')
            ninja.write(f"build out/{name}: sum {' '.join(files)}\n")
            make.write(f"out/{name}: {' '.join(files)}\n\t@cksum $^ > $@\n")
        toml.write("[targets]\neverything = [" + ", ".join(f'"{r}"' for r in roots) + "]\n")
        ninja.write("build everything: phony " + " ".join(f"out/{r}" for r in roots) + "\ndefault everything\n")
    with open(f"{where}/sum", "w") as script:
        script.write('#!/bin/sh\nout=$1\nshift\nexec cksum "$@" >"$out"\n')
    os.chmod(f"{where}/sum", 0o755)


main()
