import pytest

from darkroom.algorithm.hyperparameters import parse
from darkroom.cli import recipes

NOTHING_CHOSEN: dict[str, int | None] = {}


def test_the_table_covers_every_size_in_order() -> None:
    limits = [recipe.up_to for recipe in recipes.RECIPES]
    assert limits == sorted(limits)
    assert recipes.recipe_for(10**9) is recipes.RECIPES[-1]
    assert recipes.recipe_for(1) is recipes.RECIPES[0]
    assert all(recipe.why for recipe in recipes.RECIPES)


@pytest.mark.parametrize("photos", [2, 7, 600, 601, 5_000, 49_999, 10**6])
def test_the_algorithm_accepts_every_recipe(photos: int) -> None:
    values = parse(recipes.hyperparameters(photos, 6, NOTHING_CHOSEN, {}))
    assert values.num_training_samples == photos
    assert values.mini_batch_size <= photos
    assert values.resize is not None
    assert values.resize > values.shape[1]
    assert all(0 < step < values.epochs for step in values.lr_steps)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_rate_never_falls_at_the_very_start_or_end(epochs: int) -> None:
    values = parse(recipes.hyperparameters(100, 2, {"epochs": epochs}, {}))
    assert all(0 < step < epochs for step in values.lr_steps)


def test_choices_beat_the_recipe_and_hyperparameters_beat_both() -> None:
    chosen = {"epochs": 3, "image_size": 32, "num_layers": 18, "batch_size": 4}
    values = recipes.hyperparameters(100, 2, chosen, {"epochs": "5", "optimizer": "adam"})
    assert (values["image_shape"], values["num_layers"], values["mini_batch_size"]) == ("3,32,32", "18", "4")
    assert (values["epochs"], values["optimizer"]) == ("5", "adam")


def test_a_shape_of_the_users_own_is_not_given_our_resize() -> None:
    assert "resize" not in recipes.hyperparameters(100, 2, NOTHING_CHOSEN, {"image_shape": "3,224,224"})


@pytest.mark.parametrize(("photos", "batches"), [(32, 1), (200, 3), (600, 9), (100_000, 20)])
def test_progress_shows_several_times_an_epoch(photos: int, batches: int) -> None:
    assert recipes.speedometer(recipes.hyperparameters(photos, 2, NOTHING_CHOSEN, {})) == batches
