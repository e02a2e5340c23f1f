"""What an environment name stands for: an interpreter, and variables that its programs need.

Virtual environments made from recipes will be further entries of the same table.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# "malloc tuned": big blocks stay with the process instead of going back to the kernel, those of the thread that goes
# backward too (one arena for all threads), in large pages. Training is 1.2 to 1.3 times as fast on the CPU, and batch
# inference twice (measured).
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "20000000000",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
# OpenMP's threads sleep while they wait for each other instead of spinning. Where something else wants the same cores
# (a second job, an endpoint, a desktop) a small network trains 6 to 10 times as fast for it (measured).
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}
# Of the server's own environment a job gets what says where things are on this machine, and no secret.
PASSED_ON = ("HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
PASSED_ON_PREFIXES = ("LC_", "CUDA_", "NVIDIA_")


@dataclass(frozen=True)
class Environment:
    python: Path
    variables: Mapping[str, str] = field(default_factory=dict)


BUILTIN = "builtin"
ENVIRONMENTS: Mapping[str, Environment] = {BUILTIN: Environment(Path(sys.executable))}


def variables(environment: Environment, server: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that every program of an environment starts with."""
    passed_on = {k: v for k, v in server.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    path = f"{environment.python.parent}:{server.get('PATH', os.defpath)}"
    ours = {"PATH": path, "PYTHONUNBUFFERED": "1", **MALLOC, **OPENMP}
    return {"LANG": "C.UTF-8", **passed_on, **ours, **environment.variables}
