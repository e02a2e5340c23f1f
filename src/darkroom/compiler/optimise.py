"""Rewrites that change no answer: batch normalisation into the convolution before it, or before the pooling; bytes of
a photo as the input.

What an engine folds by itself is folded here as well, because quantisation must see the weights as they will run.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from darkroom.compiler.graph import Graph, attribute

LEAST_HALVED = 1024  # elements; smaller arrays are not worth a cast


def fold_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Conv → BatchNormalization becomes one Conv, where nothing else uses what is between."""
    graph = Graph.of(model)
    makers, users = graph.makers(), graph.users()
    folded = []
    for norm in graph.nodes:
        if norm.op_type != "BatchNormalization":
            continue
        convolution = makers.get(norm.input[0])
        if convolution is None or convolution.op_type != "Conv" or len(users[norm.input[0]]) != 1:
            continue
        if graph.is_output(norm.input[0]) or not _fold(graph, convolution, norm):
            continue
        folded.append(norm)
    graph.remove(folded)
    return graph.to_model()


def _fold(graph: Graph, convolution: onnx.NodeProto, norm: onnx.NodeProto) -> bool:
    """W' = W·s, b' = b·s + t where the normalisation is x·s + t."""
    weight = graph.array(convolution.input[1])
    affine = scale_and_shift(graph, norm)
    if weight is None or affine is None or len(graph.users()[convolution.input[1]]) != 1:
        return False
    bias = graph.array(convolution.input[2]) if len(convolution.input) > 2 else np.zeros(len(weight), np.float32)
    if bias is None:
        return False
    scale, shift = affine
    name = convolution.name or convolution.output[0]
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    convolution.input[1] = graph.constant(f"{name}_folded_weight", scaled.astype(np.float32))
    folded_bias = graph.constant(f"{name}_folded_bias", (bias * scale + shift).astype(np.float32))
    del convolution.input[2:]
    convolution.input.append(folded_bias)
    convolution.output[0] = norm.output[0]
    return True


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Conv → Mul → Add of a constant for each channel becomes one Conv, where nothing else uses what is between."""
    graph = Graph.of(model)
    makers, users = graph.makers(), graph.users()
    folded = []
    for node in graph.nodes:
        if node.op_type not in ("Mul", "Add"):
            continue
        convolution, values = makers.get(node.input[0]), graph.array(node.input[1])
        if convolution is None or convolution.op_type != "Conv" or len(convolution.input) > 2 or values is None:
            continue
        if len(users[node.input[0]]) > 1 or graph.is_output(node.input[0]) or not _absorb(graph, convolution, node):
            continue
        convolution.output[0] = node.output[0]
        makers[node.output[0]] = convolution
        folded.append(node)
    graph.remove(folded)
    return graph.to_model()


def _absorb(graph: Graph, convolution: onnx.NodeProto, node: onnx.NodeProto) -> bool:
    """Take the constant of a Mul into the weight, that of an Add as the bias."""
    weight, values = graph.array(convolution.input[1]), graph.array(node.input[1])
    if weight is None or values is None or values.shape not in ((1, len(weight), 1, 1), (len(weight), 1, 1)):
        return False
    name = convolution.name or convolution.output[0]
    if node.op_type == "Add":
        convolution.input.append(graph.constant(f"{name}_bias", values.reshape(-1)))
    else:
        scaled = weight * values.reshape(-1, *[1] * (weight.ndim - 1))
        convolution.input[1] = graph.constant(f"{name}_scaled_weight", scaled)
    return True


def pool_last(model: onnx.ModelProto) -> onnx.ModelProto:
    """MaxPool → BatchNormalization → Relu becomes BatchNormalization → Relu → MaxPool, where no scale is negative.

    The largest stays the largest. Engines append the two to the convolution before the pooling; alone, they are a pass.
    """
    graph = Graph.of(model)
    makers, users = graph.makers(), graph.users()
    for pool in [node for node in graph.nodes if node.op_type == "MaxPool"]:
        chain = [pool, *_only_users(graph, users, pool, ("BatchNormalization", "Relu"))]
        affine = scale_and_shift(graph, chain[1]) if len(chain) == 3 and pool.input[0] in makers else None
        if affine is None or (affine[0] < 0).any() or len(pool.output) > 1:
            continue
        _, norm, relu = chain
        name = f"{relu.output[0]}_unpooled"
        norm.input[0], pool.input[0] = pool.input[0], name
        pool.output[0], relu.output[0] = relu.output[0], name
        graph.nodes.remove(pool)
        graph.nodes.insert(graph.nodes.index(relu) + 1, pool)
    return graph.to_model()


def _only_users(
    graph: Graph, users: Mapping[str, list[onnx.NodeProto]], node: onnx.NodeProto, kinds: Iterable[str]
) -> list[onnx.NodeProto]:
    """What follows the node, as long as it is of these kinds in turn and nothing else takes what is between."""
    found: list[onnx.NodeProto] = []
    for kind in kinds:
        taken = users[node.output[0]]
        if len(taken) != 1 or taken[0].op_type != kind or graph.is_output(node.output[0]):
            break
        node = taken[0]
        found.append(node)
    return found


def scale_and_shift(graph: Graph, norm: onnx.NodeProto) -> tuple[np.ndarray, np.ndarray] | None:
    """Of a BatchNormalization with constant statistics, float64 (channels,) each."""
    arrays = [graph.array(name) for name in norm.input[1:5]]
    if any(array is None for array in arrays):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    scale = gamma / np.sqrt(variance + float(attribute(norm, "epsilon", 1e-5)))  # type: ignore[arg-type]
    return scale, beta - mean * scale


def take_photo_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """uint8 (batch, height, width, channels) in place of float32 (batch, channels, height, width), 0 to 255 in both."""
    graph = Graph.of(model)
    (given,) = graph.inputs
    batch, channels, height, width = given.type.tensor_type.shape.dim
    shape = [d.dim_param or d.dim_value for d in (batch, height, width, channels)]
    photo = helper.make_tensor_value_info(given.name, TensorProto.UINT8, shape)
    name = f"{given.name}_channels_first"
    graph.rename(given.name, f"{given.name}_float")
    graph.nodes[:0] = [
        helper.make_node("Transpose", [given.name], [name], name, perm=[0, 3, 1, 2]),
        helper.make_node("Cast", [name], [f"{given.name}_float"], f"{given.name}_float", to=TensorProto.FLOAT),
    ]
    graph.inputs = [photo]
    return graph.to_model()


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights in fp16, computing in fp32: half the file. Arrays that fp16 cannot hold stay."""
    graph = Graph.of(model)
    casts = []
    for name, tensor in list(graph.constants.items()):
        array = graph.array(name)
        if tensor.data_type != TensorProto.FLOAT or array is None or array.size < LEAST_HALVED:
            continue
        if np.abs(array).max() > np.finfo(np.float16).max:
            continue
        half = graph.constant(f"{name}_half", array.astype(np.float16))
        del graph.constants[name]
        casts.append(helper.make_node("Cast", [half], [name], f"{name}_widened", to=TensorProto.FLOAT))
    graph.nodes[:0] = casts
    return graph.to_model()
