"""Virtual environments of the real clients, built once below .venv/clients and cached by their recipe.

An old SDK wants old libraries: none of them may live in the environment Darkroom itself runs in.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv" / "clients"
NOTEBOOK = ("ipykernel", "nbclient", "awscli", "pandas")

RECIPES: dict[str, tuple[str, ...]] = {
    # SDK 1 and MXNet go together: the notebooks of that time ran both in one kernel.
    "sdk1": (
        "sagemaker==1.72.1",
        "protobuf<3.21",
        "mxnet==1.9.1",
        "numpy==1.23.5",
        "pandas<2.3",
        "opencv-python<4.9",
        "setuptools<81",
        *NOTEBOOK[:-1],
    ),
    "sdk2": ("sagemaker>=2,<3", *NOTEBOOK),
    "sdk3": ("sagemaker>=3", *NOTEBOOK),
    "dali": ("nvidia-dali-cuda120==2.4.0",),  # works on the CPU alone, without a driver
    "boto3-old": ("boto3==1.34.162",),  # the last that speaks the old protocols: Query, Content-MD5, legacy retries
}
ALIASES = {"mxnet": "sdk1"}
DEBIAN = {"sdk1": ("libgl1", "libglib2.0-0")}  # OpenCV's own needs, missing on a machine without a screen
PROBES = {
    "sdk1": "import cv2, mxnet, sagemaker",
    "sdk2": "import sagemaker",
    "sdk3": "import sagemaker.core",
    "dali": "import nvidia.dali.fn",
    "boto3-old": "import boto3",
}


def python_of(name: str) -> Path:
    """The interpreter of an environment, built first where it is not there yet. Raises CalledProcessError."""
    name = ALIASES.get(name, name)
    folder = HOME / name
    digest = hashlib.sha256("\n".join(RECIPES[name]).encode()).hexdigest()[:16]
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / f"{name}.lock", "w") as lock:  # two test runs may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / f".recipe-{digest}"
        if not stamp.exists():
            _build(name, folder)
            stamp.touch()
    return folder / "bin" / "python"


def _build(name: str, folder: Path) -> None:
    print(f"building the environment of {name} in {folder} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *RECIPES[name]], check=True)
    if subprocess.run([python, "-c", PROBES[name]], capture_output=True).returncode and name in DEBIAN:
        _install_debian(DEBIAN[name])
        subprocess.run([python, "-c", PROBES[name]], check=True)


def _install_debian(packages: tuple[str, ...]) -> None:
    if os.geteuid() != 0:
        raise RuntimeError(f"as root, once: apt-get install {' '.join(packages)}")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], check=True)
