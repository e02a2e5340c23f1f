"""MXNet's Pooling in ONNX: global, and windows that stop inside the input ("valid") or run over its edge ("full").

A window over the edge becomes explicit padding, since engines disagree about ceil_mode. MXNet's averages count the
padding it was told of (unless count_include_pad is false), and never what lies beyond.
"""

from typing import Any

import numpy as np

from darkroom.compiler.builder import Builder, Value, text
from darkroom.compiler.importers.mxnet_graph import Node

_OPERATORS = {"max": "MaxPool", "avg": "AveragePool"}


def pooled(node: Node, x: Value, builder: Builder) -> Value:
    """Raises CompileError for sums, p-norms, and windows that hold nothing but padding."""
    kind = node.text("pool_type", "max", tuple(_OPERATORS))
    node.text("layout", "None", ("None", "NCW", "NCHW", "NCDHW"))
    sides = [extent for extent in x.shape[2:] if extent is not None]
    spatial = len(x.shape) - 2
    if not 1 <= spatial <= 3 or len(sides) != spatial:
        raise node.error(f"its input has the shape {text(x.shape)}; expected [batch, channels, height, width]")
    if node.flag("global_pool"):
        return builder.add(f"Global{_OPERATORS[kind]}", node.name, [x], (*x.shape[:2], *[1] * spatial))
    kernel = node.integers("kernel")
    stride = node.integers("stride", (1,) * len(kernel))
    pad = node.integers("pad", (0,) * len(kernel))
    full = node.text("pooling_convention", "valid", ("valid", "full")) == "full"
    _check(node, x, spatial, kernel, stride, pad)

    windows = [_windows(*each, full) for each in zip(sides, kernel, stride, pad, strict=True)]
    beyond = tuple(
        max(0, (count - 1) * s + k - side - 2 * p)
        for count, side, k, s, p in zip(windows, sides, kernel, stride, pad, strict=True)
    )
    shape = (*x.shape[:2], *windows)
    settings: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    after = tuple(p + more for p, more in zip(pad, beyond, strict=True))
    if kind == "avg" and node.flag("count_include_pad", True):
        if any(pad) and any(beyond):  # MXNet's padding counts as zeros, what is beyond does not count
            x, pad, after = _padded(node, x, pad, builder), (0,) * spatial, beyond
        settings["count_include_pad"] = int(not any(beyond))
    if any(p >= k for p, k in zip((*pad, *after), (*kernel, *kernel), strict=True)):
        raise node.error(f"pad {pad} with kernel {kernel} and stride {stride} leaves windows of nothing but padding")
    return builder.add(_OPERATORS[kind], node.name, [x], shape, pads=(*pad, *after), **settings)


def _windows(side: int, kernel: int, stride: int, pad: int, full: bool) -> int:
    room = side + 2 * pad - kernel
    return 1 + (-(-room // stride) if full else room // stride)


def _padded(node: Node, x: Value, pad: tuple[int, ...], builder: Builder) -> Value:
    shape = (*x.shape[:2], *(side + 2 * p for side, p in zip(x.shape[2:], pad, strict=True) if side is not None))
    ends = np.array([0, 0, *pad, 0, 0, *pad], np.int64)
    return builder.add("Pad", f"{node.name}_padded", [x, ends], shape)


def _check(node: Node, x: Value, spatial: int, *settings: tuple[int, ...]) -> None:
    kernel, stride, pad = settings
    if any(len(values) != spatial or max(values) > 1 << 20 for values in settings) or min(*kernel, *stride, *pad) < 0:
        raise node.error(f"kernel {kernel}, stride {stride}, pad {pad}; expected {spatial} extents of each")
    if min(*kernel, *stride) < 1 or any(s and k > s + 2 * p for s, k, p in zip(x.shape[2:], kernel, pad, strict=True)):
        raise node.error(f"its kernel {kernel} with pad {pad} does not fit an input of {text(x.shape)}")
