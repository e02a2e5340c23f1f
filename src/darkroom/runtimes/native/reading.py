"""Parameters of a graph's nodes, checked: levels of bytes, weights, windows, normalisations. Raises Unsupported."""

from math import isfinite

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native.layers import Levels, Shape, Window
from darkroom.runtimes.native.structures import BYTES, LIMITS, SHORTS, SIGNED
from darkroom.runtimes.onnx_graph import Graph, Node

MAX_EXTENT = 1 << 14  # of a kernel, a stride, a pad
MAX_ELEMENTS = 1 << 28  # of one tensor inside the graph
MAX_PRODUCTS = 1 << 16  # of bytes in one sum: more do not fit 32 bits
MAX_ALONE = 1 << 9  # where floats count them
BOUNDS = "bounds"  # of a QuantizeLinear to shorts: the least and the most that it gives


_INPUTS = {  # how many there are, where it is not any number
    "Relu": (1,),
    "BatchNormalization": (5,),
    "QuantizeLinear": (3,),
    "DequantizeLinear": (2, 3),
    "Add": (2,),
    "Conv": (2, 3),
    "Gemm": (2, 3),
    "MaxPool": (1,),
    "GlobalAveragePool": (1,),
    "Softmax": (1,),
    "Sigmoid": (1,),
}


def check_inputs(graph: Graph) -> None:
    """Every node takes something, and known ones as much as they do."""
    for node in graph.nodes:
        if not node.inputs or len(node.inputs) not in _INPUTS.get(node.operator, (len(node.inputs),)):
            raise Unsupported(f"its {node.operator} takes {len(node.inputs)} tensors")


def constant(graph: Graph, node: Node, place: int) -> np.ndarray:
    name = node.inputs[place] if place < len(node.inputs) else ""
    if name not in graph.constants:
        raise Unsupported(f"its {node.operator} computes what is a constant elsewhere")
    return graph.constants[name]


def numbers(graph: Graph, node: Node, place: int, count: int) -> np.ndarray:
    """float64 (count,): one for each channel."""
    array = constant(graph, node, place)
    if array.size != count or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise Unsupported(f"its {node.operator} has {array.size} {array.dtype} parameters; expected {count} numbers")
    return array.reshape(count).astype(np.float64)


def levels(graph: Graph, node: Node) -> Levels:
    """Of a QuantizeLinear or DequantizeLinear of a whole tensor."""
    scale, zero = constant(graph, node, 1), constant(graph, node, 2)
    kind = {"uint8": BYTES, "int8": SIGNED, "int16": SHORTS}.get(zero.dtype.name)
    if scale.size != 1 or zero.size != 1 or kind is None or scale.dtype != np.float32:
        raise Unsupported(f"its {node.operator} is not of bytes with one scale for all")
    step = float(scale.reshape(()))
    if not isfinite(step) or step < np.finfo(np.float32).tiny:
        raise Unsupported(f"its {node.operator} has a scale of {step}")
    return Levels(kind, step, int(zero.reshape(())), _bounds(node) if kind == SHORTS else None)


def _bounds(node: Node) -> tuple[int, int]:
    """An attribute of our own: sums of shorts that reach as far as shorts can do not fit 32 bits."""
    found = node.wholes(BOUNDS, LIMITS[SHORTS])
    if len(found) != 2 or not LIMITS[SHORTS][0] <= found[0] <= 0 < found[1] <= LIMITS[SHORTS][1]:
        raise Unsupported(f"its {node.operator} has bounds {found[:8]}")
    return found[0], found[1]


def weight(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray, Node | None]:
    """Weights in int8, int16 or float32, float64 (outputs,) scales, and the node that says what they stand for."""
    name = node.inputs[1] if len(node.inputs) > 1 else ""
    if name in graph.constants:
        return _weight_in_float(node, graph.constants[name])
    maker = graph.makers.get(name)
    if maker is None or maker.operator != "DequantizeLinear":
        raise Unsupported(f"its {node.operator} has weights that are computed")
    array = constant(graph, maker, 0)
    scale = constant(graph, maker, 1)
    zero = constant(graph, maker, 2) if len(maker.inputs) > 2 and maker.inputs[2] else np.zeros(1, np.int8)
    whole = array.dtype in (np.int8, np.int16) and array.ndim >= 2 and array.size > 0
    if not whole or zero.any() or zero.size not in (1, len(array)):
        raise Unsupported(f"its {node.operator} has weights of {array.dtype}; expected int8 around zero")
    if scale.size not in (1, len(array)) or (scale.size > 1 and maker.whole("axis", 1) != 0):
        raise Unsupported(f"its {node.operator} has {scale.size} scales for {len(array)} outputs")
    if scale.dtype != np.float32 or not np.isfinite(scale).all():
        raise Unsupported(f"its {node.operator} has scales that are no numbers")
    if array[0].size > MAX_PRODUCTS:
        raise Unsupported(f"its {node.operator} sums up {array[0].size} products")
    return array, np.broadcast_to(scale.reshape(-1).astype(np.float64), (len(array),)), maker


def _weight_in_float(node: Node, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
    if array.dtype != np.float32 or array.ndim < 2 or not array.size or not np.isfinite(array).all():
        raise Unsupported(f"its {node.operator} has weights of {array.dtype} that are not all numbers")
    if array[0].size > MAX_PRODUCTS:
        raise Unsupported(f"its {node.operator} sums up {array[0].size} products")
    return array, np.ones(len(array)), None


def window(node: Node, rows: int, columns: int, groups: int = 1) -> Window:
    """``rows`` and ``columns``: of the kernel."""
    strides, pads = node.wholes("strides", (1, 1)), node.wholes("pads", (0, 0, 0, 0))
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", ""):
        raise Unsupported(f"its {node.operator} leaves its pads to the engine")
    if set(node.wholes("dilations", (1, 1))) != {1} or node.whole("group", 1) != groups or len(strides) != 2:
        raise Unsupported(f"its {node.operator} has groups, gaps or not two dimensions")
    sizes = (rows, columns, *strides)
    if len(pads) != 4 or not all(1 <= n <= MAX_EXTENT for n in sizes) or not all(0 <= n <= MAX_EXTENT for n in pads):
        raise Unsupported(f"its {node.operator} has a window of {sizes} with pads {pads[:8]}")
    above, left, below, right = pads
    return Window(rows, columns, strides[0], strides[1], (above, left, below, right))


def pool_window(node: Node) -> Window:
    kernel = node.wholes("kernel_shape", ())
    if len(kernel) != 2 or len(node.outputs) != 1 or len(node.inputs) != 1 or node.whole("storage_order", 0):
        raise Unsupported(f"its {node.operator} has a kernel {kernel[:8]}, or says where it found what")
    found = window(node, *kernel)
    if max(found.pads[0], found.pads[2]) >= found.rows or max(found.pads[1], found.pads[3]) >= found.columns:
        raise Unsupported(f"its {node.operator} looks at nothing but pads {found.pads}")
    return found


def after(node: Node, shape: Shape, window: Window, channels: int) -> Shape:
    """What a window makes of a map."""
    above, left, below, right = window.pads
    up = node.whole("ceil_mode", 0) != 0
    rows = _steps(shape.rows, above, below, window.rows, window.down, up)
    columns = _steps(shape.columns, left, right, window.columns, window.right, up)
    if rows < 1 or columns < 1:
        raise Unsupported(f"its {node.operator} finds no window in {shape.rows} x {shape.columns} pixels")
    return bounded(node, Shape(channels, rows, columns))


def _steps(extent: int, before: int, behind: int, size: int, stride: int, up: bool) -> int:
    """Rounded up, a last window that would begin behind everything is none."""
    left = extent + before + behind - size
    count = (-(-left // stride) if up else left // stride) + 1
    return count - 1 if up and (count - 1) * stride >= extent + before else count


def bounded(node: Node, shape: Shape) -> Shape:
    if shape.channels * shape.rows * shape.columns > MAX_ELEMENTS or shape.channels > MAX_PRODUCTS:
        raise Unsupported(f"its {node.operator} computes a tensor of shape {shape}")
    return shape


def normalisation(graph: Graph, node: Node, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A BatchNormalization as scale and shift, float64 (channels,)."""
    if len(node.outputs) != 1 or node.whole("training_mode", 0):
        raise Unsupported("its BatchNormalization is one for training")
    gamma, beta, mean, variance = (numbers(graph, node, place, channels) for place in (1, 2, 3, 4))
    spread = variance + node.real("epsilon", 1e-5)
    if not (spread > 0).all():
        raise Unsupported("its BatchNormalization has a negative variance")
    scale = gamma / np.sqrt(spread)
    return scale, beta - mean * scale


def top(graph: Graph, node: Node) -> float | None:
    """Of a Clip that begins at zero, where it ends."""
    if len(node.inputs) == 1:
        low, high = node.real("min", -1.0), node.real("max", -1.0)
    elif len(node.inputs) == 3:
        low, high = (float(numbers(graph, node, place, 1)[0]) for place in (1, 2))
    else:
        return None
    return high if low == 0 < high else None
