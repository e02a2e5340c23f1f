"""DataInputConfig as the documentation, the SDKs and users spell it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.compiler.errors import InputConfiguration
from darkroom.compiler.inputs import Input, parse

IMAGE = (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"data":[1,3,224,224]}', [Input("data", IMAGE)]),
        ("{'data': [1,3,224,224]}", [Input("data", IMAGE)]),
        ("{'data': (1, 3, 224, 224)}", [Input("data", IMAGE)]),
        (' {"data" : [1, 3, 224, 224]} ', [Input("data", IMAGE)]),
        ("{'data': [1,3,224,224], 'softmax_label': [1]}", [Input("data", IMAGE), Input("softmax_label", (1,))]),
        ("[1, 3, 224, 224]", [Input("", IMAGE)]),
        ("[[1,3,224,224]]", [Input("", IMAGE)]),
        ("[[1,3,224,224], [1,3,64,64]]", [Input("", IMAGE), Input("", (1, 3, 64, 64))]),
        ('[{"shape": [64, 3, 224, 224], "name": "data"}]', [Input("data", (64, 3, 224, 224))]),
        ('[{"data": [1, 3, 224, 224]}]', [Input("data", IMAGE)]),
        ('{"data": [-1, 3, 224, 224]}', [Input("data", (None, 3, 224, 224))]),
        ('{"data": [null, 3, 224, 224]}', [Input("data", (None, 3, 224, 224))]),
        ("{'data': [None, 3, 224, 224]}", [Input("data", (None, 3, 224, 224))]),
        ('{"data": {"shape": [1, 784], "default_shape": [1, 784]}}', [Input("data", (1, 784))]),
        ('{"a": [1], "b": [2, 3]}', [Input("a", (1,)), Input("b", (2, 3))]),
    ],
)
def test_documented_spellings(text, expected):
    assert parse(text) == tuple(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "DataInputConfig is ''; expected something like"),
        ("data", "DataInputConfig is 'data'; expected something like"),
        ("{}", "expected something like"),
        ('{"data": 224}', "expected something like"),
        ('{"data": [1, 3, 224.5, 224]}', r"has 224\.5 in place 2"),
        ('{"data": [1, 3, true, 224]}', "has True in place 2"),
        ('{"data": [1, 3, 0, 224]}', "has 0 in place 2; expected whole numbers from 1"),
        ('{"data": [1, 3, 99999999999, 224]}', "has 99999999999 in place 2"),
        ('{"data": [1, -1, 224, 224]}', "leaves extent 1 open; only the batch"),
        ('{"data": [1, "x", 224, 224]}', "has 'x' in place 1"),
        ("__import__('os').system('true')", "expected something like"),
        ("[" * 5000, "expected something like"),
        ("{'data': [1] * 10}", "expected something like"),
        (" " * 20_000, "has 20000 characters; expected at most 16384"),
    ],
)
def test_what_is_none_is_shown(text, reason):
    with pytest.raises(InputConfiguration, match=reason) as caught:
        parse(text)
    assert str(caught.value).startswith("InputConfiguration: ")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        assert all(isinstance(i, Input) for i in parse(text))
    except InputConfiguration as error:
        assert "expected" in str(error) or "only the batch" in str(error)  # noqa: PT017 - either way is right
