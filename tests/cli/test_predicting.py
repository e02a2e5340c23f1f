import json
from pathlib import Path

import pytest

from darkroom.cli.console import Failure
from darkroom.cli.predicting import Answer, bar, expected, found, ranked, record, show, summary


def test_an_answer_with_names_is_ranked() -> None:
    said = {"probabilities": [0.25, 0.7, 0.05], "labels": ["cat", "dog", "emu"], "predicted_label": "dog"}
    assert ranked(said) == (("dog", 0.7), ("cat", 0.25), ("emu", 0.05))


@pytest.mark.parametrize("said", [[0.25, 0.75], {"prediction": [0.25, 0.75]}])
def test_a_model_without_names_answers_by_number(said: object) -> None:
    assert ranked(said) == (("class 1", 0.75), ("class 0", 0.25))


@pytest.mark.parametrize(("probability", "drawn"), [(0, ""), (1, "████"), (0.5, "██"), (1 / 32, "▏"), (0.375, "█▌")])
def test_bars_are_as_long_as_the_probability(probability: float, drawn: str) -> None:
    assert bar(probability, width=4) == drawn


def test_folders_are_searched_for_photos(tmp_path: Path) -> None:
    for name in ("b/two.JPG", "b/notes.txt", "a/one.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    alone = tmp_path / "b" / "notes.txt"
    assert found([tmp_path, alone]) == [tmp_path / "a/one.png", tmp_path / "b/two.JPG", alone]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"there is no file .*/nowhere.jpg"):
        found([tmp_path / "nowhere.jpg"])
    with pytest.raises(Failure, match="there is no photo in"):
        found([tmp_path])


def test_the_right_answer_is_known_where_every_folder_is_a_class() -> None:
    ranking = (("cat", 0.9), ("dog", 0.1))
    in_class_folders = [Answer(Path("new/dog/1.jpg"), ranking), Answer(Path("new/cat/2.jpg"), ranking)]
    assert expected(in_class_folders)
    assert not expected([*in_class_folders, Answer(Path("new/3.jpg"), ranking)])
    assert not expected([Answer(Path("cat/1.jpg"), fault="no image")])


def test_records_are_json_with_every_class() -> None:
    answer = Answer(Path("x.jpg"), (("cat", 0.9), ("dog", 0.1)), seconds=0.01234)
    assert json.loads(json.dumps(record(answer))) == {
        "photo": "x.jpg",
        "latency_ms": 12.34,
        "classes": [{"class": "cat", "probability": 0.9}, {"class": "dog", "probability": 0.1}],
    }
    assert record(Answer(Path("x.jpg"), fault="not an image")) == {"photo": "x.jpg", "error": "not an image"}


def test_names_with_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """rich would take [old] for a style."""
    show(
        [Answer(Path("[old]/a.jpg"), (("[red] car", 0.9), ("b", 0.1))), Answer(Path("[old]/b.jpg"), fault="no [/]")], 1
    )
    said = capsys.readouterr()
    assert "[old]/a.jpg" in said.out
    assert "[red] car" in said.out
    assert "[old]/b.jpg no [/]" in said.err


def test_the_summary_counts_what_is_right_where_that_is_known() -> None:
    ranking = (("cat", 0.9), ("dog", 0.1))
    answers = [Answer(Path("dog/1.jpg"), ranking, 0.01), Answer(Path("cat/2.jpg"), ranking, 0.03)]
    assert (
        summary(answers, truths=True)
        == "2 photos, [bold]1 of them right (50%)[/], 20.0 ms in the middle, 30.0 ms at most"
    )
    assert summary(answers, truths=False) == "2 photos, 20.0 ms in the middle, 30.0 ms at most"
