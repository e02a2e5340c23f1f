"""Lines as real jobs of the built-in algorithm printed them."""

from dataclasses import replace

import pytest

from darkroom.cli.job_log import Progress, advance

PREFIX = "[09/07/2019 22:57:58 INFO 140484553713472] "
REAL = """\
Docker entrypoint called with argument(s): train
[09/07/2019 22:57:37 INFO 140484553713472] Searching for .rec files in /opt/ml/input/data/train.
[09/07/2019 22:57:37 INFO 140484553713472] ---- Parameters ----
[09/07/2019 22:57:37 INFO 140484553713472] num_layers: 152
[09/07/2019 22:57:37 INFO 140484553713472] epochs: 30
[09/07/2019 22:57:37 INFO 140484553713472] learning_rate: 0.001
[09/07/2019 22:57:37 INFO 140484553713472] num_training_samples: 84
[09/07/2019 22:57:37 INFO 140484553713472] mini_batch_size: 5
[09/07/2019 22:57:58 INFO 140484553713472] Epoch[0] Train-accuracy=0.375000
[09/07/2019 22:57:58 INFO 140484553713472] Epoch[0] Time cost=14.863
[09/07/2019 22:57:59 INFO 140484553713472] Epoch[0] Validation-accuracy=0.771429
[09/07/2019 22:58:00 INFO 140484553713472] Storing the best model with validation accuracy: 0.771429
[09/07/2019 22:58:07 INFO 140484553713472] Epoch[1] Train-accuracy=0.875000
"""


def told(*lines: str) -> Progress:
    progress = Progress()
    for line in lines:
        progress = advance(progress, line)
    return progress


def test_a_real_log_gives_epochs_accuracies_and_speed() -> None:
    progress = told(*REAL.splitlines())
    assert (progress.epochs, progress.samples, progress.batch_size, progress.batches) == (30, 84, 5, 16)
    assert (progress.epochs_done, progress.epochs_validated) == (1, 1)
    assert progress.train_accuracy == 0.875
    assert progress.validation_accuracy == progress.best_accuracy == 0.771429
    assert progress.seconds == 14.863
    assert progress.seconds_left == pytest.approx(29 * 14.863)
    assert progress.images_per_s == pytest.approx(80 / 14.863)
    assert progress.fraction == pytest.approx(1 / 30)


@pytest.mark.parametrize("tab", ["\t", "#011"])
@pytest.mark.parametrize("more", ["", "{tab}top_k_accuracy_2=0.011161"])
def test_a_batch_line_moves_within_the_epoch(tab: str, more: str) -> None:
    line = f"{PREFIX}Epoch[7] Batch [820]{tab}Speed: 204.183 samples/sec{tab}accuracy=0.998172" + more.format(tab=tab)
    progress = advance(Progress(epochs=10, epochs_done=7, samples=100_000, batch_size=100), line)
    assert (progress.batches_done, progress.images_per_s, progress.train_accuracy) == (821, 204.183, 0.998172)
    assert progress.fraction == pytest.approx(0.7821)


def test_the_end_of_an_epoch_starts_the_next_one_from_its_first_batch() -> None:
    under_way = Progress(epochs=2, epochs_done=0, samples=100, batch_size=10, batches_done=10)
    assert advance(under_way, f"{PREFIX}Epoch[0] Time cost=2.000").fraction == 0.5


@pytest.mark.parametrize(
    "line",
    [
        "",
        "2019-09-07 22:57:35 Training - Training image download completed. Training in progress.",
        f"{PREFIX}Final configuration: {{'epochs': '5', 'num_training_samples': '84'}}",
        f"{PREFIX}Setting number of threads: 3",
        f'{PREFIX}Saved checkpoint to "/opt/ml/model/image-classification-0001.params"',
        f"{PREFIX}Epoch[0] Train-top_k_accuracy_2=0.273438",
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    known = Progress(epochs=3, train_accuracy=0.5)
    assert advance(known, line) == known


def test_the_time_left_is_that_of_an_average_epoch() -> None:
    progress = told("epochs: 4", f"{PREFIX}Epoch[0] Time cost=10.000", f"{PREFIX}Epoch[1] Time cost=2.000")
    assert progress.seconds_left == pytest.approx(12)
    assert told("epochs: 1", f"{PREFIX}Epoch[0] Time cost=10.000").seconds_left is None


def test_nothing_is_known_before_the_parameters_are_printed() -> None:
    assert Progress().fraction == 0
    assert replace(Progress(), epochs=4).fraction == 0
