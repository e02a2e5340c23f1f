"""CompilerOptions: the table, its errors, its page."""

import json
from pathlib import Path

import pytest

from darkroom.compiler import options
from darkroom.compiler.errors import CompileError
from darkroom.compiler.options import Options, parse


@pytest.mark.parametrize(
    ("text", "expected", "ignored"),
    [
        (None, Options(), []),
        ("  ", Options(), []),
        ("{}", Options(), []),
        ('{"dtype": "float16"}', Options(dtype="fp16"), []),
        ("{'dtype': 'INT8', 'accuracy_tolerance': '0.5'}", Options(dtype="int8", accuracy_tolerance=0.5), []),
        ('{"calibration": "s3://b/p/"}', Options(calibration="s3://b/p/"), []),
        ('{"calibration_photos": 50, "mattr": ["+neon"]}', Options(calibration_photos=50), ["mattr"]),
        ('"\\"--verbose 1\\""', Options(), ["compiler_flags"]),
    ],
)
def test_what_is_understood(text, expected, ignored):
    assert parse(text) == (expected, ignored)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("int8", "CompilerOptions is 'int8'; expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"dtype": "int4"}', "dtype is 'int4'; expected one of int8, bf16, fp16, fp32"),
        ('{"dtipe": "int8"}', "has no 'dtipe'; expected some of: dtype, calibration"),
        ('{"calibration": "photos"}', "calibration is 'photos'; expected an s3:// prefix"),
        ('{"calibration": "s3://"}', "expected an s3:// prefix"),
        ('{"accuracy_tolerance": -1}', "accuracy_tolerance is -1; expected points from 0 to 100"),
        ('{"accuracy_tolerance": NaN}', "accuracy_tolerance is nan"),
        ('{"accuracy_tolerance": true}', "accuracy_tolerance is True"),
        ('{"calibration_photos": 1.5}', r"calibration_photos is 1\.5; expected 1 to 100000"),
        ('{"calibration_photos": 1e999}', "calibration_photos is inf"),
    ],
)
def test_what_is_not_is_shown(text, reason):
    with pytest.raises(CompileError, match=reason):
        parse(text)


def test_every_option_of_the_table_is_a_field():
    given = {"dtype": "bf16", "calibration": "s3://b/p", "accuracy_tolerance": 2, "calibration_photos": 3}
    given |= {"validation_photos": 4}
    assert set(given) == {option.name for option in options.OPTIONS}
    assert parse(json.dumps(given))[0] == Options("bf16", "s3://b/p", 2.0, 3, 4)


def test_the_page_is_the_table():
    page = Path(__file__).parents[2] / "docs" / "reference" / "compiler-options.md"
    assert page.read_text() == options.page(), (
        "python -m darkroom.compiler.options > docs/reference/compiler-options.md"
    )
