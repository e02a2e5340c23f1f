import io
import json

import numpy as np
import pytest

from darkroom.serving.content import Refused
from darkroom.serving.encode import FORMATS, JSON, JSON_LINES, default_format, negotiate

PROBABILITIES = np.array([0.1, 0.8216196894645691, 0.07838031], np.float32)
LABELS = ("cat", "dog", "łoś")


def written(name: str, rows: int = 1) -> str:
    return FORMATS[name].write(np.stack([PROBABILITIES] * rows), LABELS).decode()


def test_the_array_prints_float32_as_the_double_it_equals():
    assert written("application/json") == "[0.10000000149011612,0.8216196894645691,0.07838030904531479]"
    assert np.array(json.loads(written("application/json")), np.float32).tobytes() == PROBABILITIES.tobytes()


def test_json_lines_hold_one_object():
    assert written("application/jsonlines") == '{"prediction":%s}\n' % written("application/json")  # noqa: UP031


def test_several_rows_answer_a_list_or_a_line_each():
    one = json.loads(written("application/json"))
    assert json.loads(written("application/json", 3)) == [one] * 3
    assert written("application/jsonlines", 2) == written("application/jsonlines") * 2
    assert json.loads(written("application/json;verbose", 2)) == [json.loads(written("application/json;verbose"))] * 2


@pytest.mark.parametrize("name", ["application/x-npy", "application/vnd+python.numpy+binary"])
def test_arrays_keep_their_batch(name):
    assert FORMATS[name].media_type == name
    array = np.load(io.BytesIO(FORMATS[name].write(PROBABILITIES[None], LABELS)), allow_pickle=False)
    assert (array.shape, array.dtype, array.tobytes()) == ((1, 3), np.float32, PROBABILITIES.tobytes())


@pytest.mark.parametrize("name", ["application/json;verbose", "application/jsonlines;verbose"])
def test_verbose_names_the_classes(name):
    answer = json.loads(written(name))
    assert answer == {"probabilities": PROBABILITIES.tolist(), "labels": list(LABELS), "predicted_label": "dog"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("APPLICATION/JSONLINES", "application/jsonlines"),
        ("application/jsonlines;verbose", "application/jsonlines;verbose"),
        ("application/jsonlines; verbose", "application/jsonlines;verbose"),
        ("text/csv, application/json;q=0.5, application/jsonlines;q=0.9", "application/jsonlines"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0, application/jsonlines", "application/jsonlines"),
    ],
)
def test_accept_chooses_the_format(accept, expected):
    assert negotiate(accept, JSON) is FORMATS[expected]


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", "application/json;q=no"])
def test_what_is_not_offered_is_refused_with_what_is(accept):
    with pytest.raises(Refused, match="Offered are: application/json, application/jsonlines") as refusal:
        negotiate(accept, JSON)
    assert refusal.value.status == 406


def test_batch_jobs_get_lines_and_the_environment_may_choose():
    assert default_format({}) is JSON
    assert default_format({"SAGEMAKER_BATCH": "true"}) is JSON_LINES
    assert negotiate("*/*", JSON_LINES) is JSON_LINES
    chosen = default_format({"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json;verbose"})
    assert chosen is FORMATS["application/json;verbose"]
    with pytest.raises(ValueError, match="offered are"):
        default_format({"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"})
