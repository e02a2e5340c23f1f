"""Runs code cells as a notebook with a real kernel of a client's environment, in the variables of ``darkroom env``."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

KERNEL = Path(__file__).with_name("kernel.py")


def run(
    cells: Sequence[str], python: Path, folder: Path, variables: Mapping[str, str], seconds: int = 600
) -> list[str]:
    """Text output of every cell. Raises AssertionError with the failing cell's traceback."""
    path = folder / "story.ipynb"
    path.write_text(json.dumps(_notebook(cells)))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "DARKROOM_"))}
    environ |= {**variables, "PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [python, KERNEL, path, folder, str(seconds)], env=environ, cwd=folder, capture_output=True, text=True
    )
    outputs = [_text(cell) for cell in json.loads(path.read_text())["cells"]]
    assert done.returncode == 0, f"{done.stderr}\n--- output so far ---\n" + "\n".join(outputs)[-6000:]
    return outputs


def _notebook(cells: Sequence[str]) -> dict[str, object]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": [
            {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
            for i, cell in enumerate(cells)
        ],
    }


def _text(cell: Mapping[str, list[dict[str, object]]]) -> str:
    parts = []
    for output in cell["outputs"]:
        data = output.get("text") or output.get("data", {}).get("text/plain", "")  # type: ignore[attr-defined]
        parts.append("".join(data) if isinstance(data, list) else str(data))
    return "".join(parts)
