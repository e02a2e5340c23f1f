"""Our own kernels as a runtime: quantised networks of the kinds that the compiler makes, a photo at a time."""

import ctypes
import mmap
import queue
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from darkroom import __version__
from darkroom.runtimes import native, onnx_graph
from darkroom.runtimes.artifact import BFLOAT16, FLOAT32, HALVES, INT16, Compiled, Tensor
from darkroom.runtimes.base import Model, Settings, Unsupported, check_array, probed
from darkroom.runtimes.native import chains, plan, reading, shorts, tail
from darkroom.runtimes.native.chains import Network
from darkroom.runtimes.native.layers import share_in_float
from darkroom.runtimes.native.packing import whole_vectors
from darkroom.runtimes.native.plan import Plan
from darkroom.runtimes.native.simplify import simplify, widened
from darkroom.runtimes.native.structures import LANES
from darkroom.runtimes.native.tail import Call
from darkroom.runtimes.onnx_scan import ScanError
from darkroom.runtimes.processor import has_bfloat16

MOST_IN_FLOAT = 0.5  # of the products

_BYTE = np.dtype(np.uint8)


class Native:
    name = "native"
    version = __version__

    def load(self, artifact: Compiled, settings: Settings) -> Model:
        """What is asked for in 16 bits is in int16, but for bf16 where the processor has it. Raises Unsupported."""
        if not native.able():
            raise Unsupported(f"the native runtime is not installed here; {native.NEEDS}")
        in_shorts = settings.precision in HALVES and bool(artifact.ranges)
        in_shorts = in_shorts and not (settings.precision == BFLOAT16 and has_bfloat16())
        try:
            network, planned = _planned(artifact, settings.precision, in_shorts)
        except (Unsupported, ScanError, OSError, ValueError) as error:
            raise Unsupported(f"the native runtime cannot load {artifact.model.name}: {error}") from error
        threads = settings.threads // settings.streams
        contexts: queue.SimpleQueue[_Context] = queue.SimpleQueue()
        in_c = network.tail[:1] == [tail.softmax]  # numpy's code has left the cache by then
        for _ in range(settings.streams):
            contexts.put(_Context(planned, threads, network.answers, in_c))
        rest = network.tail[in_c:]
        precision = INT16 if in_shorts else FLOAT32
        alone = (1, *artifact.input.shape[1:])
        loaded = _Loaded(artifact.input, artifact.output, precision, rest, contexts, alone)
        return probed(loaded, artifact.model.name)


def _planned(artifact: Compiled, precision: str, in_shorts: bool) -> tuple[Network, Plan]:
    """The file stays mapped as long as either: what is loaded keeps neither."""
    with open(artifact.model, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    graph = onnx_graph.read(memoryview(mapped))
    reading.check_inputs(graph)
    graph = widened(graph)
    graph = simplify(shorts.quantised(graph, artifact.ranges) if in_shorts else graph)
    given = graph.input
    if given.shape is None or (given.name, given.shape[1:]) != (artifact.input.name, artifact.input.shape[1:]):
        raise Unsupported(f"it takes {given.name[:80]!r} of shape {given.shape}, and its record says {artifact.input}")
    if artifact.input.dtype != "uint8" or artifact.input.shape[0] not in (None, 1):
        raise Unsupported(f"its record says {artifact.input}; expected photos")
    network = chains.read(graph)
    if artifact.output.shape[1:] != (network.channels,):
        raise Unsupported(f"it answers {network.channels} numbers, and its record says {artifact.output.shape}")
    share = share_in_float(network.layers)
    if share > MOST_IN_FLOAT or (share and precision == BFLOAT16):
        raise Unsupported(f"{share:.0%} of its work is in float, which other engines do as fast, or in bf16")
    return network, plan.make(network.layers, native.has_matrices())


class _Context:
    """What one call computes in: tensors and threads of its own.

    Between two photos the caches forget Python's code: a line of it costs ten times what it does in a loop.
    """

    def __init__(self, planned: Plan, threads: int, answers: int, probabilities: bool) -> None:
        """``answers``: numbers for each photo, which may become probabilities."""
        library = native.library()
        arena = planned.arena()
        steps = planned.steps(arena)
        softened = answers if probabilities else 0
        shape = (ctypes.addressof(steps), len(steps), threads, softened, planned.matrices)
        self.network = library.darkroom_network_new(*shape)
        if not self.network:
            raise Unsupported(f"there is no memory for the model, or there are not {threads} threads to be had")
        self._run, self._answers = native.entry(), answers
        self._padded = np.empty((1, whole_vectors(answers) * LANES), np.float32)
        self._one = self._padded[:, :answers]
        weakref.finalize(self, _free, library, self.network, planned.memory, arena)

    def run(self, photos: np.ndarray) -> np.ndarray:
        """float32 (photos, answers)."""
        try:
            return self._answered(photos)
        except (BufferError, TypeError, ValueError):  # it does not lie in one piece, or ctypes cannot only read it
            return self._answered(photos.copy())

    def _answered(self, photos: np.ndarray) -> np.ndarray:
        count = len(photos)
        if count == 1:
            self._run(self.network, photos, self._padded, 1)
            return self._one.copy()
        found = np.empty((count, self._padded.size), np.float32)
        self._run(self.network, photos, found, count)
        return np.ascontiguousarray(found[:, : self._answers])


def _free(library: ctypes.CDLL, network: int, *memory: object) -> None:
    """``memory`` is what the network computes in: it stays until here."""
    library.darkroom_network_free(network)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """``alone``: the shape of one photo, which most calls have."""

    input: Tensor
    output: Tensor
    precision: str
    tail: Sequence[Call]
    contexts: "queue.SimpleQueue[_Context]"
    alone: tuple[int | None, ...]

    def predict(self, array: np.ndarray) -> np.ndarray:
        if array.shape != self.alone or array.dtype is not _BYTE:
            check_array(array, self.input)
        context = self.contexts.get()
        try:
            answers = context.run(array)
        finally:
            self.contexts.put(context)
        if not self.tail:
            return answers
        rows = [self._finished(row) for row in np.split(answers, len(answers))]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _finished(self, row: np.ndarray) -> np.ndarray:
        """One at a time: a product of matrices may round otherwise where there are more."""
        for call in self.tail:
            row = call(row)
        return np.ascontiguousarray(row)
