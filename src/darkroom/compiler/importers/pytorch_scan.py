"""What PyTorch's program archives call, read off their text before torch opens them: loading may run it already.

Only operators that compute are let through; torch itself would look up anything by name (torch.save, torch.from_file …)
and evaluate sizes that are texts.
"""

import json
import re
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from darkroom.compiler.errors import CompileError, listing

MAX_CODE_BYTES = 1 << 24
_COMPUTE = """
_convolution abs adaptive_avg_pool2d adaptive_max_pool2d add add_ addmm alpha_dropout avg_pool2d batch_norm bmm cat
ceil channel_shuffle chunk clamp clamp_ clamp_max clamp_min clone constant_pad_nd contiguous conv1d conv2d convolution
detach dim div div_ dropout dropout_ elu elu_ eq exp expand feature_dropout flatten floor floor_divide floordiv ge
gelu glu group_norm gt hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ instance_norm layer_norm le
leaky_relu leaky_relu_ len linear log log_softmax lt matmul max max_pool2d max_pool2d_with_indices mean min mish mish_
mul mul_ ne neg norm numel ones permute pixel_shuffle pow prelu relu relu6 relu6_ relu_ remainder reshape rsqrt rsub
select selu selu_ sigmoid sigmoid_ silu silu_ size slice softmax softplus split split_with_sizes sqrt squeeze stack
sub sub_ sum sym_size t tanh tanh_ tensor threshold threshold_ to transpose unbind unsqueeze upsample_bilinear2d
upsample_nearest2d view zeros zeros_like
"""
_SPEAK = """
append device dtype format warn ScalarImplicit Tensor FloatTensor __contains__ __getitem__ __is__ __isnot__ __not__
__range_length
"""
COMPUTES = frozenset(_COMPUTE.split())  # what image classifiers need
SPEAKS = frozenset(_SPEAK.split())  # of TorchScript, the language around the operators
_CALL = re.compile(r"\btorch\.(?!nn\.)(\w+)\(")
_OTHER_CALL = re.compile(r"\bops\.(?!prim\.RaiseException\b)[\w.]+")
_OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+")
_ARITHMETIC = re.compile(r"_operator\.(getitem|add|sub|mul|floordiv|eq|ne|ge|gt|le|lt)")
_EXTENT = re.compile(r"[su]?\d+|-?(int_)?oo")  # torch evaluates these texts


def check_code(path: Path) -> None:
    """Raises CompileError for calls that do more than compute: loading a module may run them already."""
    with zipfile.ZipFile(path) as archive:
        sources = [entry for entry in archive.infolist() if entry.filename.endswith(".py")]
        if sum(entry.file_size for entry in sources) > MAX_CODE_BYTES:
            raise CompileError(f"{path.name} holds more code than any network needs")
        code = "\n".join(archive.read(entry).decode("utf-8", "replace") for entry in sources)
    called = {name for name in _CALL.findall(code) if name not in COMPUTES | SPEAKS}
    _refuse(called | set(_OTHER_CALL.findall(code)), path)


def check_program(path: Path) -> None:
    """Of torch.export. Raises CompileError."""
    with zipfile.ZipFile(path) as archive:
        objects = {name for name in archive.namelist() if "custom_obj" in name or "opaque" in name}
        models = [entry for entry in archive.infolist() if entry.filename.endswith(".json")]
        if sum(entry.file_size for entry in models) > MAX_CODE_BYTES:
            raise CompileError(f"{path.name} holds more code than any network needs")
        said = [pair for entry in models for pair in _texts(json.loads(archive.read(entry)))]
    called = {text for name, text in said if name == "target" and not _computes(text)}
    sizes = {text for name, text in said if name == "expr_str" and not _EXTENT.fullmatch(text)}
    _refuse(objects | called | sizes, path)


def _computes(target: str) -> bool:
    operator = _OPERATOR.fullmatch(target)
    return operator[1] in COMPUTES if operator else bool(_ARITHMETIC.fullmatch(target))


def _texts(record: object) -> Iterator[tuple[str, str]]:
    """Every text within, with the name that it has there."""
    ahead: list[tuple[str, object]] = [("", record)]
    while ahead:
        name, value = ahead.pop()
        if isinstance(value, dict):
            ahead += [(str(key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            ahead += [(name, inner) for inner in value]
        elif isinstance(value, str):
            yield name, value


def _refuse(odd: Collection[str], path: Path) -> None:
    if odd:
        raise CompileError(
            f"{path.name} calls {listing(sorted(odd))}, which is not compiled here; export the model to ONNX "
            "(torch.onnx.export) and compile that with framework ONNX"
        )
