"""docs/results.md and its plot, from the rows alone."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """# Measured results

Written by `make bench` from [results.json](results.json); nothing here is typed by hand. Each row is a pair of medians
from one run in which both sides were measured in turns. A ratio above 1 means that Darkroom is better.

![Ratio of each figure to its peer](plots/ratios.png)

| what | Darkroom | peer | peer's name | ratio | n | date |
|---|---|---|---|---|---|---|
"""


def write(rows: Sequence[Row]) -> None:
    lines = [
        f"| {r.name} | {r.ours:g} {r.unit} | {r.peer:g} {r.unit} | {r.peer_name} "
        f"| **{r.ratio:.2f}** | {r.n} | {r.date} |"
        for r in rows
    ]
    machines = "\n".join(f"* {name}" for name in sorted({r.machine for r in rows}))
    (DOCS / "results.md").write_text(HEAD + "\n".join(lines) + f"\n\nMachines:\n\n{machines}\n")
    _plot(rows, DOCS / "plots" / "ratios.png")


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
    axes.set_xlabel("ratio to the peer, logarithmic (above 1: Darkroom is better)")
    axes.invert_yaxis()
    axes.margins(x=0.18)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
