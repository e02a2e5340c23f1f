"""Whole jobs in the test's own process: what is learned, what is kept, what is warned of, every kind of channel."""

import re

import pytest

from darkroom.contract import exits
from darkroom.networks import artifact
from tests.algorithm.jobs import jpeg

pytestmark = pytest.mark.slow


def accuracies(messages):
    return [float(message.split("=")[1]) for message in messages if "Validation-accuracy" in message]


def test_the_same_seed_gives_the_same_numbers(job, run):
    job.settings(epochs=2, augmentation_type="crop_color").colours()
    first = [message for message in run(DARKROOM_SEED="7")[1] if "accuracy" in message]
    again = [message for message in run(DARKROOM_SEED="7")[1] if "accuracy" in message]
    other = [message for message in run(DARKROOM_SEED="8")[1] if "accuracy" in message]
    assert first == again != other


WAYS = [
    {"optimizer": "adam", "learning_rate": 0.005},
    {"optimizer": "rmsprop", "learning_rate": 0.005},
    {"optimizer": "nag"},
    {"augmentation_type": "crop_color_transform"},
]


@pytest.mark.parametrize("given", WAYS, ids=lambda given: next(iter(given.values())))
def test_every_way_to_train_learns(job, run, given):
    job.settings(epochs=4, **given).colours()
    code, messages = run()
    assert code == exits.OK
    assert max(accuracies(messages)) > 0.9


def test_images_with_lst_files_and_their_folders_as_class_names(job, run):
    labels = [(float(k % 3),) for k in range(48)]
    paths = [f"{('azure', 'brick', 'coal')[int(label)]}/{k}.jpg" for k, (label,) in enumerate(labels)]
    job.settings(resize=32).listed("train", paths, labels).listed("validation", paths, labels)
    code, messages = run()
    assert code == exits.OK
    data = job.base / "input" / "data"
    searching = messages.index(f"Searching for .lst files in {data}/train_lst.")
    assert messages[searching : searching + 6] == [
        f"Searching for .lst files in {data}/train_lst.",
        "Creating record files for train.lst",
        "Done creating record files...",
        f"Searching for .lst files in {data}/validation_lst.",
        "Creating record files for validation.lst",
        "Done creating record files...",
    ]
    assert "image resize size: 32" in messages
    model = artifact.load(job.base / "model")
    assert model.classes == ("azure", "brick", "coal")
    assert model.preprocessing["shorter_side"] == 32


def test_several_labels_an_image(job, run):
    rows = [[float(k & 1 << bit > 0) for bit in range(3)] for k in range(64)]
    images = [jpeg(k % 3, k) for k in range(64)]
    job.settings(multi_label=1, use_weighted_loss=1, top_k=2).records("train", rows, images).records(
        "validation", rows, images
    )
    code, messages = run()
    assert code == exits.OK
    assert "multi_label: 1" in messages
    assert artifact.load(job.base / "model").multi_label
    count = accuracies(messages)[0] * 64 * 3
    assert count == pytest.approx(round(count), abs=1e-3)  # per image and class


def test_several_record_files_make_one_channel(job, run):
    job.settings().records("train", [0, 1] * 10, name="a").records("train", [2, 1] * 9, name="b").records(
        "validation", [0]
    )
    code, messages = run()
    assert code == exits.OK
    assert "num_training_samples: 38" in messages


def test_validation_counts_each_image_once(job, run):
    job.settings(mini_batch_size=16).colours(train=32, validation=21)  # a batch of 16 and one of 5
    messages = run()[1]
    count = accuracies(messages)[0] * 21
    assert count == pytest.approx(round(count), abs=2e-5)


def test_strict_validation_wraps_round(job, run):
    job.settings(mini_batch_size=16, num_training_samples=32, epochs=3).colours(train=32, validation=21)
    found = accuracies(run(DARKROOM_STRICT="1")[1])
    for accuracy, images in zip(found, (16, 16, 32), strict=True):  # 21 images, of which 11 were shown already
        assert accuracy * images == pytest.approx(round(accuracy * images), abs=2e-5)


def test_every_other_epoch_is_kept(job, run):
    job.settings(epochs=5, checkpoint_frequency=2).colours(train=16, validation=3)
    messages = run()[1]
    assert "checkpoint_frequency: 2" in messages
    assert [name for name in job.model if name.endswith(".params")] == [
        "image-classification-0002.params",
        "image-classification-0004.params",
    ]
    assert not any("best model with" in message for message in messages)


def test_without_validation_the_last_epoch_is_stored_and_that_is_said(job, run):
    job.settings(epochs=2).colours(train=16, validation=0)
    code, messages = run()
    assert code == exits.OK
    assert any(message.startswith("WARNING There is no validation channel") for message in messages)
    assert "image-classification-0002.params" in job.model


def test_early_stopping_without_validation_is_said_to_do_nothing(job, run):
    job.settings(early_stopping="True").colours(train=16, validation=0)
    said = "the model of the last epoch will be stored, not the best, and early_stopping has no effect."
    assert f"WARNING There is no validation channel: {said}" in run()[1]


def test_training_stops_early(job, run):
    job.settings(
        epochs=40, learning_rate=0, early_stopping="True", early_stopping_min_epochs=2, early_stopping_patience=2
    )
    job.colours(train=16, validation=3)
    code, messages = run()
    assert code == exits.OK
    assert len(accuracies(messages)) == 3
    assert any(message.startswith("Early stopping: ") for message in messages)


def test_class_names_of_the_environment_and_of_a_file(job, run):
    job.settings().colours(train=16, validation=0)
    run(DARKROOM_CLASSES='["r", "g", "b"]')
    assert artifact.load(job.base / "model").classes == ("r", "g", "b")
    (job.channel("train") / "classes.txt").write_text("red\ngreen\nblue\n")
    run()
    assert artifact.load(job.base / "model").classes == ("red", "green", "blue")
    (job.channel("train") / "classes.txt").write_text("red\ngreen\n")
    assert any("classes.txt has 2 names for num_classes 3: " in message for message in run()[1])
    assert artifact.load(job.base / "model").classes is None


def test_a_wrong_number_of_samples_is_warned_about_and_not_used(job, run):
    job.settings(num_training_samples=15240).colours(train=40, validation=0)
    messages = run()[1]
    assert "WARNING num_training_samples is 15240, but the train channel has 40 images; 40 is used." in messages
    assert "num_training_samples: 40" in messages


def test_strict_keeps_sagemakers_arithmetic(job, run):
    job.settings(num_training_samples=64, top_k=2).colours(train=40, validation=0)
    messages = run(DARKROOM_STRICT="1", DARKROOM_SPEEDOMETER="1")[1]
    assert "num_training_samples: 64" in messages
    assert [re.match(r"Epoch\[0\] Batch \[(\d)\]", message)[1] for message in messages if "Batch [" in message] == [
        "1",
        "2",
        "3",
    ]


def test_a_batch_larger_than_the_set_is_lowered_on_request(job, run):
    job.settings(mini_batch_size=64).colours(train=20, validation=0)
    code, messages = run(DARKROOM_CLAMP_BATCH="1")
    assert code == exits.OK
    said = "The train channel has 20 images and mini_batch_size is 64; it is lowered to 20 (DARKROOM_CLAMP_BATCH)."
    assert f"WARNING {said}" in messages
    assert "mini_batch_size: 20" in messages
    assert artifact.load(job.base / "model").num_layers == 20


@pytest.mark.parametrize("shape", ["1,28,28", "3,28,28"])
def test_labels_of_a_lst_may_be_floats_and_lines_end_as_in_windows(job, run, shape):
    job.settings(image_shape=shape).listed("train", [f"{k}.jpg" for k in range(48)], [(k % 3,) for k in range(48)])
    lines = "".join(f"{min(k, 46)}\t{k % 3}.0\t{k}.jpg\r\n" for k in range(48))
    (job.channel("train_lst") / "train.lst").write_bytes(lines.encode())
    code, messages = run()
    assert code == exits.OK
    assert "WARNING train.lst, line 48: the index 46 was already used in line 47" in messages
    assert artifact.load(job.base / "model").image_shape == tuple(map(int, shape.split(",")))


def test_batches_of_one_image(job, run):
    job.settings(mini_batch_size=1).colours(train=3, validation=0)
    assert run()[0] == exits.OK


def test_unreadable_images_are_named_and_left_out(job, run):
    images = [jpeg(k % 3, k) for k in range(40)]
    images[7], images[11] = b"not a picture", images[11][:200]
    job.settings().records("train", [k % 3 for k in range(40)], images)
    code, messages = run()
    assert code == exits.OK
    (warning,) = [message for message in messages if "cannot be read" in message]
    assert warning == "WARNING 2 of the 40 images in the train channel cannot be read and are left out:"
    named = messages[messages.index(warning) + 1 :][:2]
    assert named[0].startswith("WARNING record 7 of train.rec (id 7): these 13 bytes are not an image")
    assert named[1].startswith("WARNING record 11 of train.rec (id 11): this JPEG ")
    assert "num_training_samples: 38" in messages


def test_diverging_is_said(job, run):
    job.settings(optimizer="rmsprop", gamma=1, eps=0).colours(train=48, validation=0)  # divides by zero
    code, messages = run()
    assert code == exits.OK
    remedy = "Use a smaller learning_rate (it is 0.05)."
    assert f"WARNING Training diverged: the network's answers are no longer numbers. {remedy}" in messages


def test_classes_without_images_are_warned_about(job, run):
    job.settings(num_classes=5).colours(train=16, validation=0)
    assert any("2 of the 5 classes have no training image and cannot be learned: 3, 4" in text for text in run()[1])
