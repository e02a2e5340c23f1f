"""The parts in C. Where there is no compiler they are left out, and the same is done the slower way."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "darkroom.imaging._jpeg_region",
            ["src/darkroom/imaging/jpeg_region.c"],
            libraries=["dl"],
            extra_compile_args=["-O3"],
            optional=True,
        ),
        Extension(
            "darkroom.networks.native._native",
            [f"src/darkroom/networks/native/{name}.c" for name in ("threads", "batch_norm", "conv3x3")],
            depends=[f"src/darkroom/networks/native/{name}.h" for name in ("threads", "processors", "conv3x3_kernels")],
            libraries=["pthread"],
            extra_compile_args=["-O3", "-std=gnu11"],
            optional=True,
        ),
    ]
)
