"""The one part in C. Where there is no compiler it is left out, and pictures are cut the slower way."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "darkroom.imaging._jpeg_region",
            ["src/darkroom/imaging/jpeg_region.c"],
            libraries=["dl"],
            extra_compile_args=["-O3"],
            optional=True,
        )
    ]
)
