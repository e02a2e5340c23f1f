"""Model folder in, compiled artifact out: read, rewrite, let the guard choose, and write down what was done.

Knows folders and bytes; jobs, S3 and lineage are the platform's.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from darkroom.compiler import candidates, guard, report, source
from darkroom.compiler.candidates import Candidate, Judge
from darkroom.compiler.optimise import fold_batch_norms, fold_constants, pool_last, take_photo_bytes
from darkroom.compiler.options import Options
from darkroom.compiler.source import Source, described
from darkroom.compiler.targets import Target, remarks
from darkroom.runtimes.artifact import HALVES, Compiled

Tried = Sequence[tuple[Candidate, guard.Verdict]]


def compile_model(
    model_dir: Path,
    target: Target,
    options: Options,
    calibration: Iterable[bytes] | None,
    validation: Iterable[tuple[bytes, guard.Label]] | None,
    *,
    into: Path,
    data_input_config: str | None = None,
    framework: str = "",
    threads: int = 2,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """``into``, a folder that then holds the artifact and its report.

    ``calibration``: photos, ``validation``: photos with their classes (or 0/1 rows); int8 needs one of the two, and
    either does for both. ``data_input_config`` may be missing where the model's own files say the shape, ``framework``
    where they say the kind. ``log`` takes one line of the job's log.
    Raises CompileError, which names what is wrong with the model or the request, and OSError.
    """
    began = time.monotonic()
    given = source.read(model_dir, data_input_config, framework)
    log(f"Read the {given.framework} model: {len(given.model.graph.node)} nodes, input {described(given.input)}")
    for remark in remarks(target):
        log(f"Note: {remark}")
    base = pool_last(fold_constants(fold_batch_norms(given.model)))
    base = take_photo_bytes(base) if given.preprocess else base
    seen = candidates.samples(given, options, calibration, validation)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compile-") as scratch:
        judge = Judge(given, target, seen, options.accuracy_tolerance, threads, Path(scratch), base)
        picked, tried = candidates.pick(base, options, judge, log)
    for path in given.companions:
        shutil.copyfile(path, into / path.name)
    compiled = candidates.write(picked, given, target, into)
    own = judge.computed_in.get(picked.dtype) if picked.dtype in HALVES else None
    if own:
        log(f"{picked.dtype} is computed in {own} on this processor")
    facts = _report(given, target, options, picked, compiled, tried, own)
    counted = {"calibration": len(seen.calibration), "validation": len(seen.validation)}
    report.write(into, facts | {"photos": counted, "seconds": round(time.monotonic() - began, 1)})
    size = compiled.model.stat().st_size
    log(f"Compiled for {target.name} in {time.monotonic() - began:.1f} s: {picked.dtype}, {size} bytes")
    return into


def _report(
    given: Source,
    target: Target,
    options: Options,
    picked: Candidate,
    compiled: Compiled,
    tried: Tried,
    computed_in: str | None,
) -> dict[str, object]:
    verdicts = [(candidate, verdict) for candidate, verdict in tried if candidate is picked]
    return {
        "asked_for": options.dtype or "the fastest that keeps accuracy",
        "dtype": picked.dtype,
        **({"computed_in": computed_in} if computed_in else {}),
        "kept_in_float": list(picked.kept),
        "layers": dict(compiled.precisions),
        "framework": given.framework,
        "target": target.name,
        "remarks": remarks(target),
        "input": described(given.input),
        "output": described(given.output),
        "size_bytes": compiled.model.stat().st_size,
        "verdict": verdicts[0][1].to_dict() if verdicts else None,  # None: there were no photos to look at
        "refused": [
            {"dtype": candidate.dtype, "kept_in_float": list(candidate.kept), **verdict.to_dict()}
            for candidate, verdict in tried
            if candidate is not picked
        ],
    }
