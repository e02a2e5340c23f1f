"""Axes have round numbers, curves have gaps where a number is missing, points stand where their values say."""

import re
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from darkroom.pages.charts import BOTTOM, HEIGHT, TOP, Mark, Series, bars, lines, ticks, top

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@given(FINITE, FINITE, st.integers(2, 12))
def test_ticks_are_few_even_and_inside(a, b, most):
    low, high = min(a, b), max(a, b)
    found = ticks(low, high, most)
    assert len(found) <= most
    if high > low:
        slack = (high - low) * 1e-6
        assert all(low - slack <= value <= high + slack for value in found)
        steps = [y - x for x, y in pairwise(found)]
        assert all(abs(step - steps[0]) < slack + 1e-9 for step in steps)
    else:
        assert found == [low]


def test_ticks_of_an_accuracy():
    assert [f"{value:g}" for value in ticks(0.0, 1.0)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [f"{value:g}" for value in ticks(1, 60, 9)] == ["10", "20", "30", "40", "50", "60"]


def test_a_missing_number_leaves_a_gap():
    nan = float("nan")
    drawn = lines("Loss", [Series("training", [(1, 3.0), (2, nan), (3, None), (4, 1.0), (5, 2.0)])], "epoch")
    (path,) = re.findall(r'class="first line" d="([^"]*)"', str(drawn).split("<circle")[0])
    assert re.sub(r"[\d. ]", "", path) == "MML"
    assert drawn.count("<title>training") == 3


def test_points_stand_where_their_values_say():
    drawn = lines("Accuracy", [Series("x", [(1, 0.0), (2, 0.5), (3, 1.0)])], "epoch", percent=True)
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)" r="3"><title>', str(drawn))]
    assert heights == [HEIGHT - BOTTOM, (HEIGHT - BOTTOM + TOP) / 2, TOP]


def test_one_value_far_beyond_does_not_press_the_others_flat():
    drawn = lines("Loss", [Series("validation", [(1, 132.4), (2, 7.5), (3, 2.0), (4, 1.0)])], "epoch", ring=1)
    assert "↑ 132.4" in drawn
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)" r="3"><title>', str(drawn))]
    assert heights[0] == TOP
    assert len(heights) == 3
    assert drawn.count("L") - drawn.count("Loss") == 2  # from the second epoch on


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_the_axis_ends_at_a_value_and_few_are_beyond(values):
    end = top(values)
    assert end > 0
    assert end in values or max(values) == 0
    assert sum(value > end for value in values) <= 2
    assert sum(value > top(values * 3) for value in values * 3) <= max(2, len(values) * 3 // 20)


def test_a_loss_that_falls_as_usual_has_the_whole_axis():
    assert top([7.0, 3.1, 2.2, 1.0, 0.5, 0.1, 0.05]) == 7.0


def test_first_epochs_that_would_press_all_others_flat_stand_above():
    """As a small network with normalisation has them at a high learning rate."""
    validation = [103.0, 15.2, 4.6, *np.linspace(1.5, 0.4, 57)]
    training = np.linspace(1.6, 0.1, 60).tolist()
    assert top(validation + training) == 4.6
    assert top([7.0, 3.1, *np.linspace(2.0, 0.05, 58)]) == 7.0
    drawn = str(lines("Loss", [Series("validation", list(enumerate(validation, start=1)))], "epoch"))
    assert "↑ 103, 15.2<" in drawn
    assert drawn.count("↑") == 1


def test_nothing_but_missing_numbers_is_still_a_chart():
    for points in ([], [(1, None)], [(1, float("inf"))]):
        assert "no figures" in lines("Loss", [Series("x", points)], "epoch", [Mark(1, "rate")])
    assert "<svg" in bars("Sizes", [], "pixels")


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_bars_are_as_high_as_their_counts(counts):
    drawn = str(bars("Sizes", [(str(k), count) for k, count in enumerate(counts)], "pixels"))
    heights = [float(height) for height in re.findall(r'class="bar"[^>]*height="([\d.-]+)"', drawn)]
    tallest = HEIGHT - TOP - BOTTOM
    assert all(abs(h - tallest * c / (max(counts) or 1)) < 0.1 for h, c in zip(heights, counts, strict=True))
