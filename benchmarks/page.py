"""docs/results.md and its plot, from the rows alone."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row

COMPILED = re.compile(r"(compiled|bf16)-(resnet\d+\w*)(-avx512)?-vs-")
OURS = {"compiled": "Darkroom, eight bits", "compiled-avx512": "Darkroom, eight bits, without AMX"}
OURS |= {"bf16": "Darkroom, 16 bits"}
COLOURS = ("#2a7f62", "#7fb59f", "#c98a2b", "#7d8597", "#b4654a", "#5b7db1", "#a58fb8", "#555555")
DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """# Measured results

Written by `make bench` from [results.json](results.json); nothing here is typed by hand. Each row is a pair of medians
from one run in which both sides were measured in turns. A ratio above 1 means that Darkroom is better.

`bf16` rows are models that ask for bfloat16. A processor that has none computes them in whole numbers of 16 bits,
which lose less ([decision 1004](decisions/1004-sixteen-bits-are-whole-numbers.md)). `avx512` rows leave the processor's
matrices (AMX) aside, which not every machine has.

![Ratio of each figure to its peer](plots/ratios.png)

![Milliseconds of one photo: original frameworks against the compiled model](plots/compiled.png)

| what | Darkroom | peer | peer's name | ratio | n | date | machine |
|---|---|---|---|---|---|---|---|
"""


def write(rows: Sequence[Row]) -> None:
    machines = sorted({r.machine for r in rows})
    lines = [
        f"| {r.name} | {r.ours:g} {r.unit} | {r.peer:g} {r.unit} | {r.peer_name} "
        f"| **{r.ratio:.2f}** | {r.n} | {r.date} | {machines.index(r.machine) + 1} |"
        for r in rows
    ]
    named = "\n".join(f"{number}. {name}" for number, name in enumerate(machines, 1))
    (DOCS / "results.md").write_text(HEAD + "\n".join(lines) + f"\n\nMachines:\n\n{named}\n")
    _plot(rows, DOCS / "plots" / "ratios.png")
    _plot_compiled(rows, DOCS / "plots" / "compiled.png")


def _plot(rows: Sequence[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.42 * len(rows)), layout="constrained")
    names = [f"{r.name}  (vs {r.peer_name})" for r in rows]
    bars = axes.barh(names, [r.ratio for r in rows], color=["#2a7f62" if r.ratio >= 1 else "#c98a2b" for r in rows])
    axes.bar_label(bars, labels=[f"{r.ratio:.2f}×" for r in rows], padding=4)
    axes.axvline(1, color="#444", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times the peer (above 1: better)")
    axes.invert_yaxis()
    axes.margins(x=0.18, y=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _layers(network: str) -> int:
    return int(re.findall(r"\d+", network)[0])


def _plot_compiled(rows: Sequence[Row], path: Path) -> None:
    """Original against optimised, a group of bars for each network."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = [(match[1] + (match[3] or ""), match[2], row) for row in rows if (match := COMPILED.match(row.name))]
    networks = sorted({network for _, network, _ in found}, key=_layers)
    times = {(network, row.peer_name): row.peer for kind, network, row in found if kind == "compiled"}
    peers = list(dict.fromkeys(name for _, name in times))
    times |= {(network, OURS[kind]): row.ours for kind, network, row in found}
    names = [*OURS.values(), *peers]
    figure, axes = pyplot.subplots(figsize=(11, 4), layout="constrained")
    for place, name in enumerate(names):
        heights = [times.get((network, name), 0.0) for network in networks]
        spots = [number + 0.8 * (place - (len(names) - 1) / 2) / max(1, len(names)) for number in range(len(networks))]
        bars = axes.bar(spots, heights, 0.8 / max(1, len(names)), label=name, color=COLOURS[place % len(COLOURS)])
        axes.bar_label(bars, labels=[f"{height:.3g}" if height else "" for height in heights], padding=2, fontsize=8)
    axes.set_xticks(range(len(networks)), networks)
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds, logarithmic")
    axes.set_title("One photo of 224 x 224 pixels, batch 1, two threads")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
