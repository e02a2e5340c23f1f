"""ONNX Runtime as a runtime: the portable one, small in memory and quick to start."""

from dataclasses import dataclass
from threading import Semaphore
from typing import Any

import numpy as np
import onnxruntime as ort

from darkroom.runtimes.artifact import FLOAT32, Compiled, Tensor, UnusableArtifact
from darkroom.runtimes.base import Model, Settings, check_array, one_line, probed

_FATAL = 4  # severity: everything it has to say comes as an exception as well


class OnnxRuntime:
    name = "onnxruntime"
    version = ort.__version__

    def load(self, artifact: Compiled, settings: Settings) -> Model:
        """bf16 is not offered by this engine on processors: it computes in fp32 then."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = max(1, settings.threads // settings.streams)
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # a third less memory, and no slower
        options.log_severity_level = _FATAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # workers share their cores
        try:
            session = ort.InferenceSession(artifact.model.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it raises a class of its own for each code of its own
            raise UnusableArtifact(f"ONNX Runtime cannot load {artifact.model.name}: {one_line(error)}") from error
        _check(session, artifact)
        loaded = _Loaded(artifact.input, artifact.output, FLOAT32, session, Semaphore(settings.streams))
        return probed(loaded, artifact.model.name)


@dataclass(frozen=True)
class _Loaded:
    input: Tensor
    output: Tensor
    precision: str
    session: Any
    turns: Semaphore

    def predict(self, array: np.ndarray) -> np.ndarray:
        check_array(array, self.input)
        with self.turns:
            (answer,) = self.session.run(None, {self.input.name: np.ascontiguousarray(array)})
        return np.asarray(answer, np.float32)


def _check(session: Any, artifact: Compiled) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = [(i.name, i.type) for i in inputs]
    kind = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}[artifact.input.dtype]
    if found != [(artifact.input.name, kind)] or len(outputs) != 1:
        raise UnusableArtifact(f"{artifact.model.name} takes {found}, and its record says {artifact.input}")
