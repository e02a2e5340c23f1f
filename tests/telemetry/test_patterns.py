import pytest

from darkroom.errors import Invalid
from darkroom.telemetry.patterns import compile_pattern

LINE = 'Epoch[3] Validation-accuracy=0.77 ERROR: disk "full" at C:\\x'


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", True),
        ("Epoch", True),
        ("epoch", False),
        ("Epoch ERROR", True),
        ("ERROR Epoch", True),
        ("Epoch WARNING", False),
        ('"ERROR: disk"', True),
        ('"disk ERROR"', False),
        ('"disk \\"full\\""', True),
        ("?WARNING ?ERROR", True),
        ("?WARNING ?FATAL", False),
        ("Epoch -ERROR", False),
        ("Epoch -WARNING", True),
        ("-ERROR", False),
        ("-WARNING", True),
        ("Epoch ?WARNING", True),  # as on AWS, optional terms do not count beside required ones
        ('-"disk full"', True),
        ("Validation-accuracy=0.77", True),
    ],
)
def test_terms(pattern: str, expected: bool) -> None:
    assert compile_pattern(pattern)(LINE) is expected


@pytest.mark.parametrize(
    ("pattern", "named"), [("{ $.x = 1 }", "JSON"), ("[a, b]", "space-delimited"), ("%a.b%", "regular-expression")]
)
def test_what_is_not_offered_is_named(pattern: str, named: str) -> None:
    with pytest.raises(Invalid, match=f"{named} filter patterns are not offered"):
        compile_pattern(pattern)


def test_a_quotation_mark_needs_its_partner() -> None:
    with pytest.raises(Invalid, match="no partner"):
        compile_pattern('"half a phrase')
