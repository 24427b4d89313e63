"""What the comparisons with Packer share: rows of tab-separated values, their medians, and tables of forge against Packer."""

import pathlib
import statistics


def medians(results, columns):
    """{step: {tool: {column: median}}} in the order of the file."""
    names, *rows = (line.split("\t") for line in pathlib.Path(results).read_text().splitlines())
    steps = {}
    for row in rows:
        row = dict(zip(names, row))
        steps.setdefault(row["step"], {}).setdefault(row["tool"], []).append(row)
    return {
        step: {
            tool: {column: statistics.median(float(row[column]) for row in rows) for column in columns}
            for tool, rows in tools.items()
        }
        for step, tools in steps.items()
    }


def number(value):
    digits = 3 if value < 0.1 else 2 if value < 1 else 1
    return f"{value:.{digits}f}"


def show(results, columns):
    """A table; a column is its name in the file, its title, and the unit that it is divided by (none: a count)."""
    heads = [head for _, title, _ in columns for head in (f"forge {title}", f"Packer {title}", "forge/Packer")]
    print("| step | " + " | ".join(heads) + " |")
    print("|---|" + "--:|" * len(heads))
    for step, tools in medians(results, [name for name, _, _ in columns]).items():
        cells = [step]
        for name, _, unit in columns:
            ours, theirs = (tools[tool][name] / (unit or 1) for tool in ("forge", "packer"))
            shown = number if unit else "{:.0f}".format
            cells += [shown(ours), shown(theirs), f"{ours / theirs:.2g}" if theirs else "–"]
        print("| " + " | ".join(cells) + " |")
