"""``python -m darkroom.networks.bringing_in SOURCE FOLDER``: look a file of weights over, and put it where jobs can
read it.

A process of its own, so that a hostile file takes no more than that along. Prints one JSON object: ``{"record": …,
"file": …}``, or ``{"error": …}`` with exit code 1. The result is safetensors or .params, never a pickle.
"""

import hashlib
import json
import os
import resource
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from darkroom.networks import pretrained, pytorch_files
from darkroom.networks.pretrained import Weights, WeightsError
from darkroom.networks.weights_folder import Record

CPU_SECONDS = 120  # the largest file here takes a few


def bring_in(source: Path, folder: Path) -> tuple[Record, Path]:
    """The file's record and where it now lies, as ``incoming.<suffix>``. Raises WeightsError and OSError."""
    with open(source, "rb") as file:
        head = file.read(pretrained.HEAD_BYTES)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if pretrained.is_pytorch(head):
        state = pytorch_files.read(source)
        weights, target = pretrained.of_state(state), folder / "incoming.safetensors"
        save_file(state, target)
    else:
        weights = pretrained.load(source)
        target = folder / f"incoming{pretrained.suffix_of(head)}"
        shutil.copyfile(source, target)
    return _record(weights, sha256), target


def main(arguments: list[str]) -> int:
    source, folder = map(Path, arguments)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        record, target = bring_in(source, folder)
    except WeightsError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    except OSError as error:
        print(json.dumps({"error": f"{source}: {os.strerror(error.errno) if error.errno else error}"}))
        return 1
    print(json.dumps({"record": asdict(record), "file": str(target)}))
    return 0


def _record(weights: Weights, sha256: str) -> Record:
    architecture = weights.architecture
    return Record(
        architecture.network,
        architecture.num_layers,
        architecture.num_classes,
        missing=len(weights.missing),
        sha256=sha256,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
