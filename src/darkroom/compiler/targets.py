"""Every target that SageMaker names, as what can be built for: an architecture, and whether its processors have VNNI.

The compiled model is one portable file, so a target decides little: weights of seven bits where eight would overflow
(no VNNI), and a word to whoever deploys it where an accelerator was named that is not used.
"""

import platform
from dataclasses import dataclass

from darkroom.compiler.errors import CompileError, listing

X86, ARM = "x86_64", "arm64"


@dataclass(frozen=True)
class Target:
    """``accelerator``: named by the target, and not compiled for here; the processor is used instead."""

    name: str
    arch: str
    dot_product: bool  # eight-bit products summed without overflow: VNNI, or Arm's
    accelerator: str | None = None


_X86_WITHOUT_VNNI = "ml_c4 ml_m4 ml_t2 ml_t3 ml_p2 ml_p3 deeplens x86_win32 x86_win64"
_X86 = "ml_c5 ml_c5n ml_m5 ml_m5d ml_c6i ml_m6i ml_c7i ml_m7i ml_r5 lambda"
_X86_GPU = "ml_g4dn ml_g5 ml_g6 ml_p4d ml_p5 ml_eia2 ml_inf1 ml_inf2 ml_trn1"
_ARM_SERVERS = "ml_c6g ml_m6g ml_c7g"
_ARM_BOARDS = (
    "imx8qm imx8mplus rasp4b rasp3b aisage rk3399 rk3288 sbe_c qcs603 qcs605 sitara_am57x jacinto_tda4vm amba_cv2 "
    "amba_cv22 amba_cv25 coreml"
)
_ARM_GPU = "jetson_tx1 jetson_tx2 jetson_nano jetson_xavier"

ACCELERATORS = {"ml_eia2": "Elastic Inference", "ml_inf1": "Inferentia", "ml_inf2": "Inferentia", "ml_trn1": "Trainium"}


def _devices() -> dict[str, Target]:
    accelerated = {name: ACCELERATORS.get(name, "NVIDIA GPU") for name in _X86_GPU.split()}
    return {
        **{name: Target(name, X86, dot_product=True) for name in _X86.split()},
        **{name: Target(name, X86, dot_product=False) for name in _X86_WITHOUT_VNNI.split()},
        **{name: Target(name, X86, dot_product=True, accelerator=what) for name, what in accelerated.items()},
        **{name: Target(name, ARM, dot_product=True) for name in _ARM_SERVERS.split()},
        **{name: Target(name, ARM, dot_product=False) for name in _ARM_BOARDS.split()},
        **{name: Target(name, ARM, dot_product=False, accelerator="NVIDIA GPU") for name in _ARM_GPU.split()},
    }


DEVICES = _devices()
OPERATING_SYSTEMS = ("LINUX", "ANDROID")
ARCHITECTURES = {"X86_64": X86, "X86": X86, "ARM64": ARM, "ARM_EABI": ARM, "ARM_EABIHF": ARM}
GPUS = {"NVIDIA": "NVIDIA GPU", "MALI": "Mali GPU", "INTEL_GRAPHICS": "Intel graphics", "NNA": "neural accelerator"}


def device(name: str) -> Target:
    """Of a TargetDevice, ``ml_c5`` or ``ml.c5``; "this" is the machine itself. Raises CompileError."""
    plain = name.strip().lower().replace("ml.", "ml_").partition(".")[0]
    if plain == "this":
        return this_machine()
    if plain in DEVICES:
        return DEVICES[plain]
    if plain.startswith("ml_") and plain[3:].replace("_", "").isalnum():  # a family younger than this table
        return Target(plain, ARM if "g" in plain[-2:] else X86, dot_product=True)
    raise CompileError(f"TargetDevice {name!r} is not known; expected one of: {listing(DEVICES, most=len(DEVICES))}")


def target_platform(os: str, arch: str, accelerator: str | None = None) -> Target:
    """Of a TargetPlatform. Raises CompileError."""
    for value, allowed, what in ((os, OPERATING_SYSTEMS, "Os"), (arch, ARCHITECTURES, "Arch")):
        if value not in allowed:
            raise CompileError(f"TargetPlatform's {what} is {value!r}; expected one of: {listing(allowed)}")
    if accelerator is not None and accelerator not in GPUS:
        raise CompileError(f"TargetPlatform's Accelerator is {accelerator!r}; expected one of: {listing(GPUS)}")
    name = "-".join(filter(None, (os, arch, accelerator))).lower()
    return Target(
        name, ARCHITECTURES[arch], dot_product=ARCHITECTURES[arch] == X86, accelerator=GPUS.get(accelerator or "")
    )


def this_machine() -> Target:
    machine = platform.machine().lower()
    arch = ARM if machine in ("aarch64", "arm64") else X86
    return Target("this machine", arch, dot_product=True)


def remarks(target: Target) -> list[str]:
    """What whoever deploys the artifact should know."""
    said = []
    if target.accelerator:
        said.append(f"{target.name} names {target.accelerator}, which is not compiled for: its processor is used")
    if target.arch != this_machine().arch:
        said.append(f"{target.name} is {target.arch}; the file is portable, and was checked on {this_machine().arch}")
    return said
