"""One compilation job, as a story: what was asked for, what the photos are, compile, and leave the artifact.

The thin place that acts: files, signals and exit codes meet here. Knows no S3 and no lineage: what lies in the channels
was chosen by the platform.
"""

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from darkroom.compiler import targets
from darkroom.compiler.errors import CompileError, InputConfiguration
from darkroom.compiler.evidence import gather
from darkroom.compiler.options import parse as parse_options
from darkroom.compiler.package import compile_model
from darkroom.compiler.targets import Target
from darkroom.contract import exits
from darkroom.contract.layout import Layout
from darkroom.formats.archives import BadArchive, unpack

REQUEST, HYPERPARAMETERS = "compilation.json", "hyperparameters.json"
MAX_REASON_CHARS = 1024  # of the failure file, SageMaker shows no more


class Stopped(BaseException):
    """SIGTERM: nothing is worth keeping."""


@dataclass(frozen=True)
class Request:
    """CreateCompilationJob's parts that concern the compiler, as texts; None where they were not given."""

    data_input_config: str | None
    framework: str
    archive: str  # its file name
    target: Target
    compiler_options: str | None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Request":
        """Raises CompileError."""
        given, wanted = record.get("InputConfig", {}), record.get("OutputConfig", {})
        return cls(
            given.get("DataInputConfig"),
            given.get("Framework", ""),
            given.get("S3Uri", "").rpartition("/")[2],
            _target(wanted),
            wanted.get("CompilerOptions"),
        )


def main(environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    layout = Layout.of(environ)
    signal.signal(signal.SIGTERM, _stop)
    try:
        run(layout, _threads(environ))
    except Stopped:
        say("Stopped by request")
        return exits.STOPPED
    except CompileError as error:
        return _report(f"ClientError: {error}", layout.failure, exits.CLIENT_ERROR)
    except Exception as error:  # every other fault is ours
        traceback.print_exc()
        return _report(f"InternalError: {type(error).__name__}: {error}", layout.failure, exits.ALGORITHM_ERROR)
    return exits.OK


def run(layout: Layout, threads: int) -> None:
    """Raises CompileError and OSError."""
    request = Request.of(_read(layout.config / REQUEST))
    options, ignored = parse_options(request.compiler_options)
    if ignored:
        say(f"CompilerOptions of no meaning here: {', '.join(ignored)}")
    hyperparameters = _read(layout.config / HYPERPARAMETERS)
    evidence = gather(layout, multi_label=str(hyperparameters.get("multi_label", "0")) in ("1", "true"))
    for line in evidence.said:
        say(line)
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        compile_model(
            _unpacked(layout.channel("model"), request.archive, Path(scratch)),
            request.target,
            options,
            evidence.calibration,
            evidence.validation,
            into=layout.model,
            data_input_config=request.data_input_config,
            framework=request.framework,
            threads=threads,
            log=say,
        )


def _unpacked(channel: Path, archive: str, scratch: Path) -> Path:
    """The model's folder. Raises CompileError for an archive that is damaged or hostile."""
    packed = channel / archive
    if not archive or not packed.is_file():
        return channel  # a folder of files: it is one already
    try:
        unpack(packed, scratch, archive)
    except BadArchive as error:
        raise InputConfiguration(f"{error}; expected a model.tar.gz as a training job leaves it") from error
    return scratch


def say(line: str) -> None:
    """One line of the job's log."""
    print(line, flush=True)


def _target(wanted: Mapping[str, Any]) -> Target:
    platform = wanted.get("TargetPlatform")
    if platform:
        return targets.target_platform(platform["Os"], platform["Arch"], platform.get("Accelerator"))
    return targets.device(wanted.get("TargetDevice") or "this")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    record = json.loads(path.read_text("utf-8"))
    return record if isinstance(record, dict) else {}


def _threads(environ: Mapping[str, str]) -> int:
    given = environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))


def _report(reason: str, path: Path, code: int) -> int:
    print(reason, file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:MAX_REASON_CHARS], encoding="utf-8")
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
