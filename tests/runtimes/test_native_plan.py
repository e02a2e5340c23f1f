"""Where things lie for our own kernels: structures, weights, and tensors that share memory but never at one time."""

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from darkroom.runtimes import native, onnx_graph
from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import chains, planes
from darkroom.runtimes.native.folding import fold
from darkroom.runtimes.native.layers import (
    Affine,
    Convolution,
    Ending,
    Largest,
    Levels,
    Photo,
    Rounding,
    Shape,
    Stored,
    Window,
    Write,
    reads,
    writes,
)
from darkroom.runtimes.native.memory import LARGE, Memory
from darkroom.runtimes.native.packing import Pack
from darkroom.runtimes.native.simplify import simplify
from darkroom.runtimes.native.structures import BYTES, LANES, LINE, SIGNED, Step
from tests.runtimes.quantised import post_activation, quantised

LEVELS = Levels(BYTES, 0.5, 7)
BUILT = sorted(Path(native.__file__).parent.glob("_native*.so"))


def test_structures_are_those_of_the_header():
    """Of the file as it is: one that does not fit is none to ``library``, and all that needs it would be skipped.
    Without a C compiler there is no file, and no library."""
    for path in BUILT:
        bytes_of_step = ctypes.CDLL(str(path)).darkroom_network_step_bytes
        bytes_of_step.restype = ctypes.c_int64
        assert ctypes.sizeof(Step) == bytes_of_step()
    assert (native.library() is not None) == bool(BUILT)


def test_a_library_of_another_version_is_none(monkeypatch):
    monkeypatch.setattr(native, "Step", ctypes.c_int)
    assert native.library.__wrapped__() is None
    monkeypatch.setattr(native, "library", native.library.__wrapped__)
    assert not native.able()


@pytest.mark.parametrize(("outputs", "inputs", "size"), [(16, 16, 1), (33, 20, 3), (48, 3, 7), (70, 64, 1), (5, 5, 2)])
@pytest.mark.parametrize("kind", [np.int8, np.int16, np.float32])
def test_weights_lie_as_the_header_says(outputs, inputs, size, kind):
    """Each number is looked for where a kernel takes it from."""
    random = np.random.default_rng(outputs)
    weight = random.integers(-127, 128, (outputs, inputs, size, size)).astype(kind)
    channels, group = -(-inputs // LANES) * LANES, 4 // np.dtype(kind).itemsize
    pack = Pack()
    pack.add(1, lambda target: target.fill(7))
    place = pack.weights(weight, channels)
    memory = pack.lay()
    assert (memory.address % (1 << 21), place % LINE) == (0, 0)
    packed = memory.bytes[place:].view(kind)
    run, vectors = size * channels // group, -(-outputs // LANES)
    for _ in range(300):
        o, i, y, x = (int(random.integers(n)) for n in (vectors * LANES, channels, size, size))
        side_by_side = 1 if o // LANES == vectors - 1 and vectors % 2 else 2
        before = o // LANES // 2 * size * run * 2 * LANES * group
        column, rest = divmod(x * channels + i, group)
        at = (
            ((y * run + column) * side_by_side + o // LANES % 2 * (side_by_side - 1)) * LANES + o % LANES
        ) * group + rest
        assert packed[before + at] == (weight[o, i, y, x] if o < outputs and i < inputs else 0)


def test_a_relu_before_rounding_is_a_bound():
    assert Rounding(LEVELS).bounds == (-7, 248)
    assert Rounding(LEVELS, positive=True).bounds == (0, 248)
    assert Rounding(Levels(SIGNED, 0.5, 0), positive=True).bounds == (0, 127)


@pytest.mark.parametrize(
    ("scale", "shift", "as_is", "least"),
    [
        ([2, 4], [-3, 5], True, [-3, 5]),  # what a Relu gives, times two, less three
        ([2, 4], [-3, -5], True, None),  # bytes end at zero anyway
        ([2, 2], [5, 5], True, None),  # a bound of what is written
        ([2, -4], [-3, 5], False, [0, 0]),  # it turns what is least into what is most
    ],
)
def test_a_normalisation_behind_a_relu_is_part_of_the_sum(scale, shift, as_is, least):
    affine = Affine(np.array(scale, np.float64), np.array(shift, np.float64))
    stored = Stored("into", Shape(2, 4, 4), Levels(BYTES, 1.0, 0))
    folded = fold(Ending(Affine(np.array([0.5, 0.25]), np.array([7.0, -7.0])), [Write(stored, affine)], least=0.0))
    assert folded.first_as_is == as_is
    assert folded.least is None if least is None else folded.least.tolist() == least
    sums = np.arange(-200, 200, 7)[:, np.newaxis]
    written = sums * folded.scale + folded.shift
    if folded.least is not None:
        written = np.maximum(written, folded.least)
    if not as_is:
        written = written * folded.first.affine.scale + folded.first.affine.shift
    expected = np.maximum(sums * [0.5, 0.25] + [7, -7], 0) * scale + shift
    low = max(folded.first.affine.low, 0)
    np.testing.assert_array_equal(np.clip(written, low, 255), np.clip(expected, 0, 255))


@pytest.fixture(scope="module", params=[True, False], ids=["bytes", "float sums"])
def layers(request):
    small = quantised(post_activation((16, 32), 32), 32, additions=request.param)
    return chains.read(simplify(onnx_graph.read(small.SerializeToString()))).layers


def test_tensors_that_are_needed_at_one_time_do_not_overlap(layers):
    arranged = planes.arrange(layers)
    assert overlaps(layers, arranged) == []
    assert arranged.size < 0.7 * sum(form.size for form in arranged.forms.values())


@pytest.mark.parametrize("seed", range(20))
def test_places_of_one_size_that_are_to_grow_stay_apart(seed):
    """Each tensor is made of the one before it and of one long before that; they are of few sizes."""
    random = np.random.default_rng(seed)
    tensors = [Stored(str(k), Shape(16, 1, int(size)), LEVELS) for k, size in enumerate(random.choice([4, 16, 64], 30))]
    each = np.ones(16)
    layers = [Photo(tensors[0].shape, np.zeros((3, 256), np.uint8), tensors[0])]
    for k, into in enumerate(tensors[1:], start=1):
        earlier = tensors[int(random.integers(max(0, k - 6), k))]
        ending = Ending(Affine(each, each), [Write(into, Affine(each, each))], other=earlier)
        layers.append(Convolution(tensors[k - 1], np.ones((16, 16, 1, 1), np.int8), Window(1, 1), into.shape, ending))
    assert overlaps(layers, planes.arrange(layers)) == []


def overlaps(layers, arranged):
    """Pairs of tensors in one place at one time."""
    alive: dict[str, tuple[int, int]] = {}
    for k, layer in enumerate(layers):
        for stored in (*reads(layer), *writes(layer)):
            alive[stored.name] = (alive.get(stored.name, (k, k))[0], k)
    bounds = {name: arranged.offsets[name] - arranged.forms[name].first for name in alive}
    together, found = 0, []
    for a, (born, died) in alive.items():
        assert bounds[a] % LINE == 0
        assert bounds[a] + arranged.forms[a].size <= arranged.size
        for b, (later, end) in alive.items():
            if a != b and born <= end and later <= died:
                together += 1
                before = bounds[a] + arranged.forms[a].size <= bounds[b]
                if not before and bounds[b] + arranged.forms[b].size > bounds[a]:
                    found.append((a, b))
    assert together > 10
    return found


def test_borders_stand_for_zero_and_no_tensor_lies_on_another_ones_border(layers):
    arranged = planes.arrange(layers)
    arena = np.full(arranged.size, 99, np.uint8)
    arranged.fill(arena)
    for layer in layers:
        for stored in writes(layer):
            form = arranged.forms[stored.name]
            begin = arranged.offsets[stored.name]
            for y in range(form.rows):  # as the layer does
                arena[begin + y * form.row : begin + y * form.row + form.columns * form.pixel] = 55
        if isinstance(layer, Convolution):
            form = arranged.forms[layer.input.name]
            begin = arranged.offsets[layer.input.name] - form.first
            bordered = arena[begin : begin + form.size].reshape(-1, form.row // form.pixel, form.pixel).copy()
            above, left = form.border[:2]
            inner = bordered[above : above + form.rows, left : left + form.columns]
            assert (inner == 55).all()
            inner[:] = layer.input.border
            assert (bordered == layer.input.border).all()


def test_a_border_is_as_wide_as_any_reader_needs():
    into = Stored("a", Shape(16, 8, 8), LEVELS)
    window = Window(3, 3, pads=(1, 0, 2, 3))
    first = Largest(Stored("photo", Shape(16, 16, 16), LEVELS), Window(2, 2, 2, 2), into)
    given = Photo(Shape(16, 16, 16), np.zeros((16, 256), np.uint8), first.input)
    ending = chains.Ending(chains.Affine(np.ones(16), np.ones(16)), ())
    reader = Convolution(into, np.zeros((16, 16, 3, 3), np.int8), window, Shape(16, 9, 9), ending)
    arranged = planes.arrange([given, first, reader])
    assert arranged.forms["a"].border == (1, 0, 2, 3)
    assert arranged.forms["photo"].border == planes.NO_BORDER
    assert [form.filled for _, form in arranged.borders] == [7]


@pytest.mark.parametrize(("channels", "reason"), [(16 * 5, "larger than memory"), (16, "its tensors take")])
def test_more_than_memory_is_refused(channels, reason):
    """One tensor that is too large, or several that are needed at one time."""
    shape = Shape(channels, 4096, 4096)
    tensors = [Stored(f"t{k}", shape, LEVELS) for k in range(5)]
    given = [Photo(shape, np.zeros((1, 256), np.uint8), tensor) for tensor in tensors]
    readers = [Largest(tensor, Window(1, 1), Stored(f"{tensor.name}r", Shape(16, 1, 1), LEVELS)) for tensor in tensors]
    with pytest.raises(Unsupported, match=reason):
        planes.arrange([*given, *readers])


@pytest.mark.parametrize(("large", "page"), [(False, mmap.PAGESIZE), (True, LARGE)])
def test_memory_begins_with_a_page(large, page):
    for size in (100, page, 2 * page + 1):
        memory = Memory(size, large)
        assert (memory.address % page, memory.bytes.size, memory.bytes.any()) == (0, size, False)
        memory.bytes[:] = 1


def test_memory_is_the_processs_own():
    memory = Memory(100)
    if not (child := os.fork()):
        memory.bytes[:] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert not memory.bytes.any()
