"""What ``darkroom train`` chooses where the user does not: one row for each size of a data set, and why.

Sized for training from random weights on a few processor cores. Knows counts, and no photo.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters for sets of at most ``up_to`` training photos. ``image_size`` is the side of the square crop."""

    up_to: float
    num_layers: int
    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    augmentation: str
    why: str


RECIPES = (
    Recipe(
        *(600, 20, 96, 60, 16, 0.1, "crop"),
        why="few photos: a small network, seen often; a deeper one would only learn them by heart",
    ),
    Recipe(
        *(5_000, 18, 112, 40, 32, 0.05, "crop"),
        why="enough photos for ResNet-18; 112 pixels keep an epoch at a fraction of the time that 224 take",
    ),
    Recipe(
        *(50_000, 18, 160, 25, 64, 0.05, "crop_color"),
        why="more photos bear larger ones, fewer epochs, and colours that vary",
    ),
    Recipe(
        *(float("inf"), 34, 224, 15, 128, 0.1, "crop_color_transform"),
        why="a large set: the usual 224 pixels and a deeper network; a GPU is worth its while here",
    ),
)
# The rate falls to a tenth twice, late: the first two thirds find the place, the rest settles there.
DROPS = (0.68, 0.88)
# The picture is resized to a little more than the crop, so that random crops differ: 256 : 224, the usual ratio.
FIELD_OF_VIEW = 8 / 7
# Packed photos are at least this large, so that another job can use the same files at 224.
LEAST_PACKED_SIDE = 256
LINES_PER_EPOCH = 4


def recipe_for(training_photos: int) -> Recipe:
    return next(recipe for recipe in RECIPES if training_photos <= recipe.up_to)


def shorter_side(image_size: int) -> int:
    """What pictures are resized to before the crop, pixels."""
    return round(image_size * FIELD_OF_VIEW)


def packed_side(image_size: int) -> int:
    """What photos are made smaller to before they are packed, pixels."""
    return max(LEAST_PACKED_SIDE, shorter_side(image_size))


def hyperparameters(
    training_photos: int, classes: int, chosen: Mapping[str, int | None], given: Mapping[str, str]
) -> dict[str, str]:
    """Every hyperparameter of the job as the wire wants it: text.

    ``chosen`` are num_layers, image_size, epochs and batch_size of the command line, None for "you choose";
    ``given`` are hyperparameters by their own names, and have the last word.
    """
    recipe = recipe_for(training_photos)

    def choice(name: str) -> int:
        value = chosen.get(name)
        return int(getattr(recipe, name)) if value is None else value

    size, epochs = choice("image_size"), choice("epochs")
    values: dict[str, object] = {
        "num_layers": choice("num_layers"),
        "image_shape": f"3,{size},{size}",
        "resize": shorter_side(size),
        "num_classes": classes,
        "num_training_samples": training_photos,
        "mini_batch_size": min(choice("batch_size"), training_photos),
        "epochs": epochs,
        "learning_rate": recipe.learning_rate,
        "augmentation_type": recipe.augmentation,
    }
    if drops := sorted({round(epochs * drop) for drop in DROPS} - {0, epochs}):
        values["lr_scheduler_step"] = ",".join(map(str, drops))
    if "image_shape" in given:
        del values["resize"]  # it was meant for our shape; the algorithm finds one that suits theirs
    return {name: str(value) for name, value in values.items()} | dict(given)


def speedometer(values: Mapping[str, str]) -> int:
    """Batches between two progress lines: a few lines an epoch, and never fewer than SageMaker's one in 20 batches."""
    batches = int(values["num_training_samples"]) // int(values["mini_batch_size"])
    return min(20, max(1, batches // LINES_PER_EPOCH))
