"""What this machine's processor has of its own, rather than by emulation."""

import contextlib
from pathlib import Path


def has_bfloat16() -> bool:
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags
    return False
