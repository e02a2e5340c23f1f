"""PyTorch's files: the same answers as torch gives, and nothing of theirs is run that does more than compute."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from darkroom.compiler import targets
from darkroom.compiler.errors import CompileError
from darkroom.compiler.importers import pytorch
from darkroom.compiler.inputs import UNNAMED, Input
from darkroom.compiler.options import Options
from darkroom.compiler.package import compile_model
from darkroom.runtimes import registry
from darkroom.runtimes.base import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch's exporters announce their successors
IMAGE = Input(UNNAMED, (None, 3, 32, 32))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1))
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 3, 32, 32))  # moving averages of its own
    return net.eval()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)


def answers(folder: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(pytorch.load(folder, [IMAGE]).SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def test_torchscript_traced_and_scripted(tmp_path: Path, images: np.ndarray) -> None:
    net = network()
    expected = net(torch.from_numpy(images)).detach().numpy()
    for name, module in (
        ("traced", torch.jit.trace(net, torch.zeros(1, 3, 32, 32))),
        ("scripted", torch.jit.script(net)),
    ):
        (tmp_path / name).mkdir()
        module.save(str(tmp_path / name / "model.pt"))
        np.testing.assert_allclose(answers(tmp_path / name, images), expected, atol=1e-5)


def test_an_archive_of_torch_export(tmp_path: Path, images: np.ndarray) -> None:
    net = network()
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 32, 32),)), tmp_path / "model.pt2")
    session = ort.InferenceSession(pytorch.load(tmp_path, [Input("x", (1, 3, 32, 32))]).SerializeToString())
    found = session.run(None, {"x": images[:1]})[0]
    np.testing.assert_allclose(found, net(torch.from_numpy(images[:1])).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_known_network(tmp_path: Path, images: np.ndarray, suffix: str) -> None:
    state = torchvision_resnet18(classes=7)
    if suffix == ".pth":
        torch.save(state, tmp_path / "resnet18.pth")
    else:
        save_file(state, tmp_path / "resnet18.safetensors")
    found = answers(tmp_path, images)
    np.testing.assert_allclose(found, resnet18_by_hand(state, images), atol=1e-3, rtol=1e-3)


def test_compiled_it_answers_arrays(tmp_path: Path, images: np.ndarray) -> None:
    net = network()
    (tmp_path / "model").mkdir()
    torch.jit.trace(net, torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "model" / "model.pt"))
    into = compile_model(
        tmp_path / "model",
        targets.this_machine(),
        Options(),
        None,
        None,
        into=tmp_path / "compiled",
        data_input_config='{"input0": [1, 3, 32, 32]}',
        framework="PYTORCH",
    )
    model = registry.load(into, Settings(1))[1]
    np.testing.assert_allclose(model.predict(images), net(torch.from_numpy(images)).detach().numpy(), atol=1e-4)


class Evil:
    def __reduce__(self) -> object:
        return (Path.touch, (Path("pwned"),))


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CompileError, match=r"model\.pth"):
        pytorch.load(tmp_path / "model", [IMAGE])
    torch.save({"weight": Evil()}, tmp_path / "model" / "model.pth")
    with pytest.raises(CompileError, match="holds more than tensors"):
        pytorch.load(tmp_path / "model", [IMAGE])
    assert not (tmp_path / "pwned").exists()


class Writer(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "pwned")
        return x


def test_torchscript_that_writes_files_is_refused(tmp_path: Path) -> None:
    torch.jit.script(Writer()).save(str(tmp_path / "model.pt"))
    with pytest.raises(CompileError, match=r"calls save, which is not compiled here; export the model to ONNX"):
        pytorch.load(tmp_path, [IMAGE])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("torch.ops.aten.relu.default", "torch.save", "calls torch.save"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default", "calls torch.ops.aten.from_file.default"),
        ('"as_int": 32', '"as_expr": {"expr_str": "__import__(1)"}', r"calls __import__\(1\)"),
    ],
)
def test_exported_programs_that_do_more_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(network(), (torch.zeros(1, 3, 32, 32),)), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    program = next(name for name in members if name.endswith("models/model.json"))
    assert old.encode() in members[program]
    members[program] = members[program].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(CompileError, match=said):
        pytorch.load(tmp_path, [Input("x", (1, 3, 32, 32))])


def test_what_is_cut_off_is_said(tmp_path: Path) -> None:
    torch.jit.trace(network(), torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "model.pt"))
    data = (tmp_path / "model.pt").read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 30):
        (tmp_path / "model.pt").write_bytes(data[:size])
        with pytest.raises(CompileError, match=r"model\.pt"):
            pytorch.load(tmp_path, [IMAGE])


def test_which_file_it_is_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"expected one file of \.pt, .* found 0; the model holds: nothing"):
        pytorch.load(tmp_path, [IMAGE])


def torchvision_resnet18(classes: int) -> dict[str, torch.Tensor]:
    """Random weights under torchvision's keys."""
    torch.manual_seed(1)
    state: dict[str, torch.Tensor] = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel) * (2 / (inputs * kernel**2)) ** 0.5

    def norm(name: str, channels: int) -> None:
        for key, low, high in (
            ("weight", 0.5, 1),
            ("bias", -0.1, 0.1),
            ("running_mean", -0.1, 0.1),
            ("running_var", 0.5, 1),
        ):
            state[f"{name}.{key}"] = torch.empty(channels).uniform_(low, high)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    for stage, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            conv(f"{name}.conv1", outputs, inputs if not block else outputs, 3)
            norm(f"{name}.bn1", outputs)
            conv(f"{name}.conv2", outputs, outputs, 3)
            norm(f"{name}.bn2", outputs)
            if stage > 1 and not block:
                conv(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
    state["fc.weight"], state["fc.bias"] = torch.randn(classes, 512) * 0.05, torch.randn(classes)
    return state


def resnet18_by_hand(state: dict[str, torch.Tensor], images: np.ndarray) -> np.ndarray:
    """Logits, written down from the paper (He et al. 2015) and torchvision's keys."""
    f = nn.functional

    def conv(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return f.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return f.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    x = f.max_pool2d(f.relu(norm(conv(torch.from_numpy(images), "conv1", 2), "bn1")), 3, 2, 1)
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and not block else 1
            y = f.relu(norm(conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
            y = norm(conv(y, f"{name}.conv2", 1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = f.relu(x + y)
    return f.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"]).numpy()
