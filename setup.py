"""The parts in C. Where there is no compiler they are left out, and the same is done the slower way."""

from pathlib import Path

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "darkroom.imaging._jpeg_region",
            ["src/darkroom/imaging/jpeg_region.c"],
            depends=["src/darkroom/imaging/jpeg_huffman.h"],
            libraries=["dl"],
            extra_compile_args=["-O3"],
            optional=True,
        ),
        Extension(
            "darkroom.networks.native._native",
            [
                f"src/darkroom/networks/native/{name}.c"
                for name in ("threads", "batch_norm", "conv3x3", "momentum", "stem")
            ],
            depends=sorted(map(str, Path("src/darkroom/networks/native").glob("*.h"))),
            libraries=["pthread"],
            extra_compile_args=["-O3", "-std=gnu11"],
            optional=True,
        ),
        Extension(
            "darkroom.runtimes.native._native",
            ["src/darkroom/runtimes/native/network.c"],
            depends=sorted(map(str, Path("src/darkroom/runtimes/native").glob("*.h"))),
            libraries=["pthread", "m"],
            extra_compile_args=["-O3", "-std=gnu11"],
            optional=True,
        ),
    ]
)
