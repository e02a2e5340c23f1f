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
            "darkroom.networks._batch_norm",
            ["src/darkroom/networks/batch_norm.c"],
            libraries=["pthread"],
            extra_compile_args=["-O3", "-std=gnu11"],
            optional=True,
        ),
    ]
)
