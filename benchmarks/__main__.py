"""``make bench``: run every benchmark, or the one named, and write the results."""

import sys

from benchmarks import page
from benchmarks.registry import BENCHMARKS
from benchmarks.rows import Unavailable, store


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    rows = []
    for name in names or list(BENCHMARKS):
        print(f"== {name}", flush=True)
        try:
            fresh = BENCHMARKS[name]()
        except Unavailable as reason:
            print(f"   skipped: {reason}", flush=True)
            continue
        for row in fresh:
            print(f"   {row.name}: {row.ours:g} against {row.peer:g} {row.unit} ({row.peer_name}): {row.ratio:.2f}x")
        rows += fresh
        page.write(store(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
