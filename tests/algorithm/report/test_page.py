"""The page for any number of classes, with names that are not meant well."""

import base64
import re

import cv2
import numpy as np
import pytest

from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.report.facts import Facts, settings
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.model import Shown
from darkroom.algorithm.report.page import report
from darkroom.algorithm.report.standing import confused, matrix, mistakes, standings
from darkroom.pages.page import figures_of
from tests.pages.parsed import assert_harmless

NASTY = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><!--", "a & b", "'")


def values(classes, **given):
    base = {"num_classes": classes, "num_training_samples": 100, "mini_batch_size": 10, "epochs": 3}
    return parse({name: str(value) for name, value in (base | given).items()})


def told(classes, images=200, several=False, epochs=3, rates=(0.1, 0.1, 0.01)):
    """A history of made-up answers."""
    draws = np.random.default_rng(classes)
    labels = draws.integers(0, classes, images)
    if several:
        labels = draws.integers(0, 2, (images, classes)).astype(np.float32)
    history = History(classes)
    for number in range(epochs):
        history.trained(number, {"accuracy": 0.5 + number / 10}, 2.0 - number / 10, rates[number], 60.0)
        history.validating(images)
        history.answered(np.arange(images), draws.standard_normal((images, classes)) * 2, labels)
        history.validated(0.25 + number / 10)
    history.stored()
    return history


def facts(classes, names=None, **given):
    return Facts("a-job", "ResNet-18", "random numbers", 100, 200, 1, names, values(classes, **given))


def made(classes, names=None, several=False):
    history = told(classes, several=several)
    picture = base64.b64decode("/9j/4AAQ")
    shown = [Shown(it, f"{(names or ['x'])[0]}/{it.k}.jpg", picture) for it in mistakes(history.answers, several)]
    about = facts(classes, names, **({"multi_label": 1} if several else {}))
    return report(about, history, shown), history


@pytest.mark.parametrize("several", [False, True])
def test_names_that_are_not_meant_well_are_text(several):
    plain, _ = made(5, tuple("abcde"), several)
    nasty, _ = made(5, NASTY, several)
    expected, found = assert_harmless(plain), assert_harmless(nasty)
    assert found.names == expected.names
    assert all(name in found.text for name in NASTY)
    assert [row["name"] for row in figures_of(nasty)["per_class"]] == list(NASTY)


@pytest.mark.parametrize("classes", [1, 2, 20, 21, 257])
def test_from_one_class_to_257(classes):
    page, history = made(classes)
    found = assert_harmless(page)
    rows = standings(history.answers, classes, several=False)
    assert [(row["images"], row["right"], row["named"]) for row in figures_of(page)["per_class"]] == [
        (row.images, row.right, row.named) for row in rows
    ]
    assert ("cells" in {given.get("class") for _, given in found.tags}) == (classes <= 20)
    assert ("pixels" in {given.get("class") for _, given in found.tags}) == (classes > 20)
    assert len(page) < 400_000


def test_a_long_name_is_cut_in_the_head_of_the_matrix_and_told_by_its_title():
    page, _ = made(3, ("a", "b", "c" * 200))
    assert f'<th scope="col" title="{"c" * 200}"><span>{"c" * 200}</span></th>' in page
    assert re.search(r"\.cells thead span \{[^}]*-webkit-line-clamp: 4; overflow: hidden", page)


def test_the_matrix_in_the_table_is_the_confusion_matrix():
    page, history = made(4)
    table = page[page.index('<table class="cells">') :]
    cells = re.findall(r'<td class="number hot[^>]*>(\d*)</td>', table[: table.index("</table>")])
    assert np.array([int(cell or 0) for cell in cells]).reshape(4, 4).tolist() == matrix(history.answers, 4).tolist()
    assert sum(int(cell or 0) for cell in cells) == 200


def test_the_map_is_green_where_answers_are_right_and_red_where_they_are_wrong():
    page, history = made(40)
    (data,) = re.findall(r'data:image/png;base64,([^"]*)"', page)
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    small = pixels[:: len(pixels) // 40, :: len(pixels) // 40]
    counts = matrix(history.answers, 40)
    assert ((small[..., 3] > 0) == (counts > 0)).all()
    wrong = (counts > 0) & ~np.eye(40, dtype=bool)
    assert (small[wrong][:, 2] > small[wrong][:, 1]).all()
    right = np.diag(counts) > 0
    diagonal = small[np.arange(40), np.arange(40)][right]
    assert (diagonal[:, 1] > diagonal[:, 2]).all()


def test_what_happened_is_marked():
    history = told(3)
    history.ended = "Early stopping: no better"
    page = report(facts(3), history, [])
    assert "rate 0.01" in page
    assert page.count('class="mark"') == 2  # in both charts
    assert "Early stopping: no better" in page
    assert figures_of(page)["ended"] == history.ended
    assert "the mistakes" not in page


def test_before_the_first_epoch_there_is_nothing_to_draw():
    page = report(facts(3), History(3), [])
    assert "stopped before its first epoch" in page
    assert "before it was validated" in page
    assert figures_of(page)["stored_epoch"] is None
    assert_harmless(page)


def test_all_right_is_said():
    history = History(2)
    history.trained(0, {"accuracy": 1.0}, 0.0, 0.1, 1.0)
    history.validating(4)
    history.answered(np.arange(4), np.array([[9.0, 0], [0, 9], [9, 0], [0, 9]]), np.array([0, 1, 0, 1]))
    history.validated(1.0)
    history.stored()
    page = report(facts(2), history, [])
    assert "Every validation image was recognised." in page
    assert "every answer on the validation images was right" in page


def test_only_the_most_confused_pairs_are_listed():
    page, history = made(30)
    found = confused(history.answers)
    assert len(found) > 20
    assert f"The most confused pairs, 20 of {len(found):,}" in page
    assert [entry["images"] for entry in figures_of(page)["confused"]] == [pair.count for pair in found[:20]]


def test_only_settings_that_were_used_are_shown():
    shown = dict(settings(values(3, optimizer="adam", lr_scheduler_step="2")))
    assert shown["beta_1"] == "0.9"
    assert shown["lr_scheduler_factor"] == "0.1"
    assert not {"momentum", "gamma", "early_stopping_patience", "top_k"} & set(shown)
