"""Every target that botocore's own model names is known here."""

import botocore.session
import pytest

from darkroom.compiler import targets
from darkroom.compiler.errors import CompileError

MODEL = botocore.session.get_session().get_service_model("sagemaker")


def test_every_device_is_known():
    for name in MODEL.shape_for("TargetDevice").enum:
        target = targets.device(name)
        assert target.arch in (targets.X86, targets.ARM)
    assert set(MODEL.shape_for("TargetDevice").enum) <= set(targets.DEVICES)


def test_every_platform_is_known():
    platform = MODEL.shape_for("TargetPlatform").members
    for os in platform["Os"].enum:
        for arch in platform["Arch"].enum:
            for accelerator in (None, *platform["Accelerator"].enum):
                assert targets.target_platform(os, arch, accelerator).name.startswith(os.lower())


@pytest.mark.parametrize(
    ("name", "arch", "dot_product"),
    [
        ("ml_c5", "x86_64", True),
        ("ml.c5.4xlarge", "x86_64", True),
        ("ml_c4", "x86_64", False),
        ("rasp4b", "arm64", False),
    ],
)
def test_what_a_device_can(name, arch, dot_product):
    target = targets.device(name)
    assert (target.arch, target.dot_product) == (arch, dot_product)


def test_an_accelerator_that_is_not_used_is_said():
    assert targets.remarks(targets.device("ml_g4dn")) == [
        "ml_g4dn names NVIDIA GPU, which is not compiled for: its processor is used"
    ]
    assert targets.remarks(targets.this_machine()) == []


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: targets.device("toaster"), "'toaster' is not known; expected one of: .*ml_c5"),
        (lambda: targets.target_platform("DOS", "X86_64"), "Os is 'DOS'; expected one of: LINUX, ANDROID"),
        (lambda: targets.target_platform("LINUX", "Z80"), "Arch is 'Z80'"),
        (lambda: targets.target_platform("LINUX", "ARM64", "TPU"), "Accelerator is 'TPU'"),
    ],
)
def test_a_target_that_is_none_is_shown(call, reason):
    with pytest.raises(CompileError, match=reason):
        call()
