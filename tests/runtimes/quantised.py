"""Quantised networks to run: made by the compiler from small random networks, or of numbers that round nowhere."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from darkroom.compiler import calibrate, source
from darkroom.compiler.optimise import fold_batch_norms, fold_constants, pool_last, take_photo_bytes
from darkroom.compiler.quantize import activations, quantize
from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import artifact as networks
from darkroom.networks import resnet
from darkroom.runtimes import artifact
from darkroom.runtimes.artifact import Compiled, Tensor

CLASSES = 10
PLAIN = ort.GraphOptimizationLevel.ORT_DISABLE_ALL


def pre_activation(folder: Path, layers: int, side: int) -> onnx.ModelProto:
    """As our own algorithm makes them, with statistics of real use."""
    torch.manual_seed(layers)
    net = resnet.build(layers, CLASSES, (3, side, side))
    batch = torch.from_numpy(smooth(8, side)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        for _ in range(20):
            net.train()(batch)
    networks.save(folder, net.eval(), epoch=1, batch_size=8, preprocessing=Preprocess(side, side, 3).to_dict())
    return source.read(folder, None, "").model


def post_activation(
    channels: Sequence[int], side: int, *, pooled: bool = False, deep: bool = False, early: bool = False
) -> onnx.ModelProto:
    """A Relu after each sum; two blocks for each number of channels, the first of them halving but for the very first.

    ``pooled``: a stem with a 7 x 7 convolution and a MaxPool; ``deep``: blocks of 1 x 1, 3 x 3 and 1 x 1;
    ``early``: a Relu before each sum as well.
    """
    made = Maker(side)
    tensor = made.convolution("data", 3, channels[0], 7 if pooled else 3, 2 if pooled else 1, relu=True)
    if pooled:
        tensor = made.node("MaxPool", [tensor], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    before = channels[0]
    for k, count in enumerate(channels):
        for stride in (1 if k == 0 else 2, 1):
            branch = made.convolution(tensor, before, count, 1 if deep else 3, 1 if deep else stride, relu=True)
            if deep:
                branch = made.convolution(branch, count, count, 3, stride, relu=True)
            branch = made.convolution(branch, count, count, 1 if deep else 3, 1, relu=early)
            same = before == count and stride == 1
            shortcut = tensor if same else made.convolution(tensor, before, count, 1, stride)
            tensor = made.node("Relu", [made.node("Add", [branch, shortcut])])
            before = count
    return made.classifier(tensor, before)


def depthwise(side: int, *, norm: bool = False) -> onnx.ModelProto:
    """As MobileNets: windows for each channel alone, Clips at 6, sums of what is not clipped; all three in each block.

    ``norm``: the photo is normalised by operators of the graph.
    """
    made = Maker(side)
    tensor = "data"
    if norm:
        tensor = made.node("Sub", [tensor, made.given(np.float32([128, 120, 112]).reshape(1, 3, 1, 1))])
        tensor = made.node("Div", [tensor, made.given(np.float32([64, 32, 64]).reshape(1, 3, 1, 1))])
    clip = [made.given(np.float32(0)), made.given(np.float32(6))]
    tensor = made.node("Clip", [made.convolution(tensor, 3, 20, 3, 2), *clip])
    for wide, stride, count, before in ((36, 2, 24, 20), (40, 1, 24, 24)):
        branch = made.node("Clip", [made.convolution(tensor, before, wide, 1, 1), *clip])
        branch = made.node("Clip", [made.convolution(branch, wide, wide, 3, stride, group=wide), *clip])
        branch = made.convolution(branch, wide, count, 1, 1)
        tensor = made.node("Add", [branch, tensor]) if stride == 1 else branch
    return made.classifier(tensor, 24)


class Maker:
    """A float32 network, NCHW."""

    def __init__(self, side: int) -> None:
        self.random = np.random.default_rng(side)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.side = side

    def constant(self, shape: Sequence[int], spread: float = 0.1) -> str:
        return self.given(self.random.normal(0, spread, shape).astype(np.float32))

    def given(self, values: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: object) -> str:
        name = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{name}_node", **attributes))
        return name

    def convolution(
        self, given: str, before: int, count: int, size: int, stride: int, *, relu: bool = False, group: int = 1
    ) -> str:
        spread = (2 * group / (before * size * size)) ** 0.5 / (70 if given == "data" else 1)
        weights = [self.constant((count, before // group, size, size), spread), self.constant((count,))]
        window = {"pads": [size // 2] * 4, "strides": [stride] * 2, "kernel_shape": [size] * 2, "group": group}
        made = self.node("Conv", [given, *weights], **window)
        return self.node("Relu", [made]) if relu else made

    def classifier(self, tensor: str, channels: int) -> onnx.ModelProto:
        """The network that ends with the mean of this tensor's channels, a matrix and a softmax."""
        tensor = self.node("Flatten", [self.node("GlobalAveragePool", [tensor])])
        tensor = self.node(
            "Gemm", [tensor, self.constant((CLASSES, channels), 0.3), self.constant((CLASSES,))], transB=1
        )
        self.node("Softmax", [tensor], output="answer")
        return self.model()

    def model(self) -> onnx.ModelProto:
        given = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 3, self.side, self.side])
        answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", CLASSES])
        graph = helper.make_graph(self.nodes, "net", [given], [answer], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def smooth(count: int, side: int) -> np.ndarray:
    """uint8 photos with edges and colours that change slowly."""
    random = np.random.default_rng(count)
    few = random.integers(0, 256, (count, 5, 5, 3)).astype(np.float32)
    places = np.minimum(np.arange(side) * 5 // side, 4)
    large = few[:, places][:, :, places] + random.normal(0, 6, (count, side, side, 3))
    return np.clip(large, 0, 255).astype(np.uint8)


def quantised(model: onnx.ModelProto, side: int, *, additions: bool, **options: object) -> onnx.ModelProto:
    base = take_photo_bytes(pool_last(fold_constants(fold_batch_norms(model))))
    names = activations(base, additions=additions, **{k: v for k, v in options.items() if k == "fused"})
    ranges = calibrate.ranges(base, names, [row[np.newaxis] for row in smooth(4, side)], threads=1)
    return quantize(base, ranges, additions=additions, **options)


def snapped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with numbers that no engine rounds but where the graph says so: whatever the order, answers are equal.

    Scales are powers of two, of tensors the next smaller ones: bytes end below where a Clip does. What stands for zero
    is even: half a step above it rounds to even then, as it does below. Other numbers have few bits. A Softmax at the
    end goes.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name.endswith("_scale"):
            power = np.log2(np.maximum(values, 2.0**-20))
            values = np.exp2(np.floor(power) if values.ndim == 0 else np.rint(power)).astype(np.float32)
        elif tensor.name.endswith("_zero"):
            values = values - values % 2
        elif tensor.name.endswith(("_var", "_gamma")):
            values = np.exp2(np.rint(np.log2(np.abs(values) + 0.3) / 2) * 2).astype(np.float32)
        elif values.dtype == np.float32:
            values = (np.rint(values * 16) / 16).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(values), tensor.name))
    for node in result.graph.node:
        for attribute in node.attribute:
            if attribute.name == "epsilon":
                attribute.f = 0.0
    return open_ended(result)


def open_ended(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the Softmax at its end."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.output[0].name = result.graph.node.pop().input[0]
    return result


def answers(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Those of the graph, node by node, by an engine that was told to change nothing."""
    options = ort.SessionOptions()
    options.graph_optimization_level = PLAIN
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def write(folder: Path, model: onnx.ModelProto, side: int) -> Compiled:
    given = Tensor(model.graph.input[0].name, "uint8", (None, side, side, 3))
    answer = Tensor(model.graph.output[0].name, "float32", (None, CLASSES))
    described = {"dtype": "int8", "framework": "ONNX", "target": "this machine"}
    return artifact.write(folder, model.SerializeToString(), input=given, output=answer, **described)
