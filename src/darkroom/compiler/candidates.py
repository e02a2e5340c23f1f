"""The ways to compile one model, fastest first, and the judge that runs each in the engine that will serve it.

int8 throughout; then with the sums of shortcuts in float32; then with the layers that hurt most in float32 as well,
more and more of them; then 16 bits; then float32.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from darkroom import __version__
from darkroom.compiler import calibrate, guard
from darkroom.compiler.errors import CompileError
from darkroom.compiler.optimise import halve_weights
from darkroom.compiler.options import BF16, FP16, FP32, INT8, Options
from darkroom.compiler.photos import chosen, readable, reader
from darkroom.compiler.quantize import activations, int8_layers, layers, quantize
from darkroom.compiler.sensitivity import most_harmful
from darkroom.compiler.source import Source
from darkroom.compiler.targets import Target, remarks
from darkroom.runtimes import artifact, registry
from darkroom.runtimes.artifact import Compiled
from darkroom.runtimes.base import Settings

KEPT_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the layers, those that hurt most, tried in float32
LEAST_PHOTOS = 8  # to calibrate on
ADDITIONS = "additions"  # the sums of shortcuts, in the list of what is kept in float32

FUSING = "native"  # the runtime that adds and normalises in its registers

Log = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """One way to compile. ``kept``: what of an int8 model is left in float32; ``ranges``: of one in 16 bits, how far
    its tensors reach."""

    model: onnx.ModelProto
    dtype: str
    kept: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """What the network sees of the photos, one row each. ``labels`` None: nobody said what is on them."""

    calibration: list[np.ndarray]
    validation: list[np.ndarray]
    labels: list[guard.Label] | None


def samples(
    source: Source,
    options: Options,
    calibration: Iterable[bytes] | None,
    validation: Iterable[tuple[bytes, guard.Label]] | None,
) -> Samples:
    """Photos that cannot be read are left out. Where only one kind is there, it does for both."""
    read = reader(source.input, source.preprocess)
    plain = ((data, None) for data in calibration or ())
    unlabelled = [array for array, _ in readable(chosen(plain, options.calibration_photos), read)]
    labelled = list(readable(chosen(validation or (), options.validation_photos), read))
    if not labelled:
        return Samples(unlabelled, unlabelled, None)
    arrays = [array for array, _ in labelled]
    return Samples(unlabelled or chosen(arrays, options.calibration_photos), arrays, [label for _, label in labelled])


@dataclass
class Judge:
    """Runs candidates from artifacts below ``scratch``. Remembers what the reference answered.

    ``computed_in``: what a candidate's layers were computed in where they are not quantised, by its dtype.
    """

    source: Source
    target: Target
    samples: Samples
    tolerance: float  # points of accuracy
    threads: int
    scratch: Path
    reference: onnx.ModelProto
    computed_in: dict[str, str] = field(default_factory=dict)
    _answered: np.ndarray | None = None

    def __call__(self, candidate: Candidate) -> guard.Verdict:
        if self._answered is None:
            self._answered = self._answers(Candidate(self.reference, FP32))
        return guard.judge(self._answered, self._answers(candidate), self.samples.labels, self.tolerance)

    def _answers(self, candidate: Candidate) -> np.ndarray:
        written = write(candidate, self.source, self.target, self.scratch)
        _, model = registry.load_verified(written, Settings(self.threads, precision=written.precision))
        self.computed_in[candidate.dtype] = model.precision
        return np.concatenate([model.predict(array) for array in self.samples.validation])


def write(candidate: Candidate, source: Source, target: Target, folder: Path) -> Compiled:
    total, low = len(layers(candidate.model)), int8_layers(candidate.model)
    return artifact.write(
        folder,
        candidate.model.SerializeToString(),
        input=source.input,
        output=source.output,
        dtype=candidate.dtype,
        framework=source.framework,
        target=target.name,
        versions={"darkroom": __version__, "onnx": onnx.__version__},
        precisions={"int8": low, "float": total - low},
        ranges=candidate.ranges,
        note="; ".join(remarks(target)),
    )


def pick(
    base: onnx.ModelProto, options: Options, judge: Judge, log: Log
) -> tuple[Candidate, list[tuple[Candidate, guard.Verdict]]]:
    """The candidate to keep, and the verdicts on all that were looked at. Raises CompileError."""
    photos = len(judge.samples.calibration)
    dtype = options.dtype or (INT8 if photos >= LEAST_PHOTOS else FP32)
    if dtype != INT8:
        candidate = _float(base, dtype, judge)  # asked for by name: looked at where there are photos, and not refused
        return candidate, [(candidate, judge(candidate))] if judge.samples.validation else []
    if photos < LEAST_PHOTOS:
        raise CompileError(
            f"int8 needs at least {LEAST_PHOTOS} photos to calibrate on, and {photos} could be read; name an S3 prefix "
            'with some in CompilerOptions ("calibration"), or ask for fp32'
        )
    tried = []
    for candidate in _smaller(base, judge, log):
        verdict = judge(candidate)
        tried.append((candidate, verdict))
        kept = f", {', '.join(candidate.kept[:5])} in fp32" if candidate.kept else ""
        log(f"{candidate.dtype}{kept}: {'accepted' if verdict.accepted else 'refused'}; {verdict.reason}")
        if verdict.accepted:
            return candidate, tried
    log("No smaller type was accepted: the model stays in fp32")
    return Candidate(base, FP32), tried


def _float(base: onnx.ModelProto, dtype: str, judge: Judge) -> Candidate:
    """Without photos nobody knows how far tensors reach: processors without floats of 16 bits take 32 then."""
    model = halve_weights(base) if dtype == FP16 else base
    photos = judge.samples.calibration
    if dtype == FP32 or not photos:
        return Candidate(model, dtype)
    names = activations(base, additions=True, fused=True)
    return Candidate(model, dtype, ranges=calibrate.extremes(base, names, photos, judge.threads))


def _smaller(base: onnx.ModelProto, judge: Judge, log: Log) -> Iterator[Candidate]:
    """Than float32: each is made when those before it were refused."""
    bits = 8 if judge.target.dot_product else 7
    fused = judge.target.dot_product and registry.installed()[0] == FUSING
    photos = judge.samples.calibration
    everything = activations(base, additions=True, fused=fused)
    ranges = calibrate.ranges(base, everything, photos, judge.threads)
    log(f"Calibrated {len(ranges)} tensors on {len(photos)} photos")
    plain = {name: ranges[name] for name in activations(base, additions=False)}
    yield Candidate(quantize(base, ranges, additions=True, fused=fused, weight_bits=bits), INT8)
    if len(plain) < len(ranges):
        yield Candidate(quantize(base, plain, weight_bits=bits), INT8, (ADDITIONS,))
    order = most_harmful(base, plain, photos, judge.threads)
    log(f"Most is lost in {', '.join(order[:3])}")
    for count in dict.fromkeys(max(1, round(share * len(order))) for share in KEPT_SHARES):
        keep = tuple(order[:count])
        yield Candidate(quantize(base, plain, keep, weight_bits=bits), INT8, (ADDITIONS, *keep))
    yield _float(base, BF16, judge)  # half as fast as int8, twice as fast as float32
