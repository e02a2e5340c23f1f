"""What users get wrong, named for what they see: each message says the value and the way out; the job ends with 2."""

import logging
import unicodedata

import numpy as np
import pytest

from darkroom.algorithm import failures
from darkroom.algorithm.channels import open_channels
from darkroom.algorithm.failures import CustomerError, describe
from darkroom.contract import exits
from darkroom.contract.layout import Layout
from tests.algorithm.jobs import jpeg
from tests.algorithm.test_piped import MANIFEST, feed, wrapped

LOG = logging.getLogger("nobody")


@pytest.fixture
def fault(job, run):
    """Runs the job, which must fail; gives its reason as it reaches FailureReason."""

    def fault(**environ: str) -> str:
        code, messages = run(**environ)
        assert code == exits.CLIENT_ERROR
        reason = job.failure.removeprefix("ClientError: ")
        assert f"ERROR Customer Error: {reason}" in messages
        assert not (job.base / "model").exists()
        return reason

    return fault


def test_no_hyperparameters_at_all(fault):
    assert "'num_classes' which are required" in fault()


def test_several_faults_have_a_line_each(job, run):
    job.settings(epochs=0, learning_rate=7)
    code, messages = run()
    assert code == exits.CLIENT_ERROR
    assert len([message for message in messages if message.startswith("ERROR Customer Error: The value '")]) == 2
    assert "; also: The value '" in job.failure


def test_train_channel_is_missing(job, fault):
    job.settings().config("inputdataconfig", {"training": {}})
    assert fault() == "The train channel is missing. Channels given: training. Give one named 'train'."


def test_channel_without_files(job, fault):
    job.settings().channel("train")
    assert fault().startswith("No .rec file was found in the train channel, which holds no file.")


def test_empty_rec(job, fault):
    job.settings().records("train", [])
    assert fault().startswith("Unable to start training. Empty .rec file in train channel. train.rec holds no record")


def test_rec_that_is_none(job, fault):
    job.settings()
    (job.channel("train") / "train.rec").write_bytes(b"index\tlabel\n" * 10)
    reason = fault()
    assert "train.rec, byte 0: expected the RecordIO magic" in reason


def test_lst_with_spaces_for_tabs_names_file_line_and_column(job, fault):
    job.settings().listed("train", ["a.jpg", "b.jpg"], [(0,), (1,)])
    path = job.channel("train_lst") / "train.lst"
    path.write_text(path.read_text().splitlines()[0] + "\n1 1.000 b.jpg\n")
    assert fault().startswith(
        "Invalid lst file in the train channel. train.lst, line 2, column 1: expected index, label and"
    )


def test_lst_names_images_that_are_not_there(job, fault):
    job.settings().listed("train", [f"x/{k}.jpg" for k in range(5)], [(0,)] * 5)
    for k in range(1, 5):
        (job.channel("train") / f"x/{k}.jpg").unlink()
    assert fault() == (
        "Invalid lst file in the train channel. 4 of the 5 images that train.lst lists are not in the channel: "
        "x/1.jpg (line 2), x/2.jpg (line 3), x/3.jpg (line 4), …. Upload them, or take their lines out."
    )


def test_lst_paths_relative_to_the_wrong_folder(job, fault):
    job.settings().listed("train", ["x/0.jpg"], [(0,)])
    (job.channel("train") / "x").rename(job.channel("train") / "y")
    assert "relative to the channel's S3 prefix" in fault()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../secret.jpg", "the path '../secret.jpg' leaves the channel with \"..\""),
        ("cat/../../secret.jpg", "the path 'cat/../../secret.jpg' leaves the channel with \"..\""),
        ("/etc/passwd", "the path '/etc/passwd' is absolute"),
        ("C:\\photos\\a.jpg", "is absolute"),
    ],
)
def test_lst_cannot_reach_outside_of_its_channel(job, fault, path, words):
    job.settings().listed("train", ["a.jpg"], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text(f"0\t0\ta.jpg\n\n1\t0\t1\t{path}\n")
    reason = fault()
    assert reason.startswith("Invalid lst file in the train channel. train.lst, line 3, column 4: the path '")
    assert words in reason


def test_lst_with_the_separators_of_windows(job, fault):
    job.settings().listed("train", ["cat/a.jpg"], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text("0\t0\tcat\\a.jpg\n")
    assert fault().endswith("cat\\a.jpg (line 1). Write folders with / and not with \\ in the .lst.")


def test_lst_by_way_of_a_folder_that_is_not_there(job):
    job.listed("train", ["a.jpg"], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text("0\t0\tnope/../a.jpg\n")
    assert open_channels(Layout(job.base), LOG).train.read(0) == jpeg(0, 0)


def test_lst_with_a_folder_for_an_image(job, fault):
    job.settings().listed("train", ["cat/a.jpg"], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text("0\t0\tcat\n")
    assert fault().endswith("cat (line 1). cat is a folder: list its images one by one.")


@pytest.mark.parametrize(
    ("listed", "there"),
    [("Cat/1.JPG", "cat/1.jpg"), (unicodedata.normalize("NFC", "café.jpg"), unicodedata.normalize("NFD", "café.jpg"))],
    ids=["case", "accent"],
)
def test_lst_names_that_only_look_the_same(job, fault, listed, there):
    job.settings().listed("train", [there], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text(f"0\t0\t{listed}\n", encoding="utf-8")
    assert fault().endswith(
        f"{listed} (line 1). The channel has {there}, whose name differs in letter case, or in how accents are written "
        "(Unicode): write the .lst as the files are named."
    )


def test_a_label_of_a_lst_that_is_no_class_names_its_line(job, fault):
    job.settings().listed("train", ["a.jpg", "b.jpg"], [(0,), (3,)])
    assert fault().startswith("The label 3 of b.jpg (line 2 of train.lst) in the train channel is not one of 0 … 2")


def test_images_without_resize_are_for_sagemaker_to_refuse(job, fault):
    job.settings(num_training_samples=1).listed("train", ["a.jpg"], [(0,)])
    assert fault(DARKROOM_STRICT="1").startswith("The hyperparameter resize is required for images with .lst files")


def test_two_lst_files(job, fault):
    job.settings().listed("train", ["0.jpg"], [(0,)])
    (job.channel("train_lst") / "more.lst").write_text("")
    assert fault() == "The train_lst channel must hold exactly one .lst file; it holds 2 .lst files."


def test_lst_channel_of_one_side_only(job, fault):
    job.settings().listed("train", ["0.jpg"], [(0,)]).channel("validation")
    assert fault().startswith("The validation_lst channel is missing.")


def test_validation_lst_without_its_images(job, fault):
    job.settings().listed("train", ["0.jpg"], [(0,)])
    (job.channel("validation_lst") / "validation.lst").write_text("0\t0\t1.jpg\n")
    assert fault() == (
        "The validation channel is missing. It holds the images that the .lst file in validation_lst lists; its S3Uri "
        "may be that of the train channel."
    )


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 2, 3], "record 2 of train.rec (id 2) in the train channel is not one of 0 … 2 (num_classes is 3): the "
         "channel holds 3 different labels from 1 to 3. Number the classes from 0, not from 1."),
        ([0, 1, 2, 3], "Set num_classes to 4."),
        ([0, 1, 7], "Number the 3 classes 0 … 2 without gaps."),
        ([0, 1, 2, -1], "Number the 4 classes 0 … 3 without gaps and set num_classes to 4."),
        ([0, -1, 1], "The label -1 of record 1 of train.rec"),
        ([0, 7, 1, 8], "record 1 of train.rec (id 1) in the train channel (one of 2 such images) is not one of 0 … 2"),
        ([0, 1.5], "The label 1.5 of record 1 of train.rec (id 1) in the train channel is not a whole number"),
        ([[0, 1, 1]], "record 0 of train.rec (id 0) in the train channel has 3 labels, but multi_label is 0."),
    ],
)  # fmt: skip
def test_labels_that_are_no_classes(job, fault, labels, words):
    job.settings().records("train", labels)
    assert words in fault()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (float("nan"), "The label nan of record 1 of train.rec (id 1) in the train channel is not a whole number"),
        (float("inf"), "The label inf of record 1 of train.rec (id 1) in the train channel is not a whole number"),
        (1e30, "The label 1e+30 of record 1 of train.rec (id 1) in the train channel is not one of 0 … 2"),
    ],
)
def test_labels_that_no_integer_holds(job, fault, label, words):
    job.settings().records("train", [0, label], [jpeg(0, 0), jpeg(0, 1)])
    assert fault().startswith(words)  # and numpy warned of nothing, which would be an error here


def test_labels_that_no_float_holds(job, fault):
    job.settings().listed("train", ["a.jpg"], [(0,)])
    (job.channel("train_lst") / "train.lst").write_text("0\t1e40\ta.jpg\n")
    assert fault().startswith("The label inf of a.jpg (line 1 of train.lst)")


def test_width_of_several_labels(job, fault):
    job.settings(multi_label=1).records("train", [[1, 0, 1], [1, 0]])
    assert fault().startswith(
        "Mismatch between number of labels in the multi-label data (2) and the num_classes parameter (3): record 1 of"
    )


OR_LISTED = (
    "; where an augmented manifest lists the classes of an image, set the ContentType 'application/x-recordio; "
    "label-format=class-id'."
)


def test_class_ids_of_a_manifest_that_does_not_say_so(job, fault, tmp_path):
    job.settings(multi_label=1).config("inputdataconfig", {"train": MANIFEST})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"[0, 2]", jpeg(0, 1), b"[1]", jpeg(0, 2), b"[]"))
    assert fault().endswith(f"each 0 or 1 (pack .rec files with --pack-label){OR_LISTED}")


@pytest.mark.parametrize("labels", [[[1, 0], [1, 3]], [[1, 0], [1, -1]], [[1, 0], [1, 0.5]]])
def test_labels_that_cannot_be_class_ids_are_not_taken_for_such(job, fault, labels):
    job.settings(multi_label=1).records("train", labels)
    assert fault().endswith("each 0 or 1 (pack .rec files with --pack-label).")


def test_columns_of_a_lst_are_not_taken_for_class_ids(job, fault):
    job.settings(multi_label=1).listed("train", ["0.jpg"], [(1,)])
    assert fault().endswith("each 0 or 1 (pack .rec files with --pack-label).")


def test_the_format_of_labels_may_be_quoted(job, tmp_path):
    said = {"ContentType": 'application/x-recordio; label-format="class-id"'}
    job.config("inputdataconfig", {"train": MANIFEST | said})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"[0, 2]"))
    samples = open_channels(Layout(job.base), LOG, classes=3, multi_label=True).train
    assert [label.tolist() for label in samples.labels] == [[1, 0, 1]]


def test_several_labels_that_are_no_flags(job, fault):
    job.settings(multi_label=1).records("train", [[1, 0, 2]])
    assert "are not all 0 or 1" in fault()


def test_validation_labels_are_checked_too(job, fault):
    job.settings().records("train", [0, 1, 2] * 8).records("validation", [3])
    assert "in the validation channel" in fault()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([3], "The label 3 of record 0 of validation.rec (id 0) in the validation channel is not one of 0 … 2 "
         "(num_classes is 3): classes have the numbers that they have in the train channel. Correct the label, or set "
         "num_classes to 4 and add images of class 3 to the train channel."),
        ([0, 3], "or set num_classes to 4 and add images of class 3 to the train channel."),
        ([1, 3], "or set num_classes to 4 and add images of class 3 to the train channel."),
        ([0, -1], "numbers that they have in the train channel. Correct the label."),
    ],
)  # fmt: skip
def test_validation_labels_are_not_to_be_numbered_anew(job, fault, labels, words):
    job.settings().records("train", [0, 1, 2] * 8).records("validation", labels)
    assert fault().endswith(words)


@pytest.mark.parametrize(
    "given", [{"image_shape": "3,4,4"}, {"network": "mobilenet_v2", "image_shape": "1,32,32"}], ids=["cifar", "planned"]
)
def test_one_image_that_cannot_be_normalised_alone(job, fault, given):
    job.settings(mini_batch_size=1, **given).colours(train=3, validation=0)
    assert fault() == (
        f"image_shape '{given['image_shape']}' is so small that the network cannot normalise a batch of one image: use "
        "a mini_batch_size (it is 1) of at least 2, or a larger image_shape."
    )


def test_batch_larger_than_the_set_names_both_numbers(job, fault):
    job.settings(mini_batch_size=128).records("train", [0] * 84)
    assert fault() == (
        "The number of input images must be bigger or equal to the mini_batch_size. The train channel has 84 images "
        "and mini_batch_size is 128: use a mini_batch_size of at most 84, or let it be lowered with "
        "DARKROOM_CLAMP_BATCH=1 in the job's Environment."
    )


def test_strict_believes_num_training_samples(job, fault):
    job.settings(mini_batch_size=16, num_training_samples=10).records("train", [0] * 20)
    assert "num_training_samples is 10 and mini_batch_size is 16: use" in fault(DARKROOM_STRICT="1")


def test_more_than_half_unreadable(job, fault):
    images = [jpeg(0, k) if k < 9 else b"\xff\xd8 broken" for k in range(20)]
    job.settings().records("train", [0] * 20, images)
    assert fault().startswith("11 of the 20 images in the train channel cannot be read: record 9 of train.rec (id 9): ")


def test_a_class_of_which_nothing_is_readable(job, fault):
    images = [b"broken" if k % 3 == 2 else jpeg(0, k) for k in range(30)]
    job.settings().records("train", [k % 3 for k in range(30)], images)
    assert "10 of the 30 images in the train channel cannot be read, among them every image of class 2" in fault()


def test_several_hosts_without_an_address_to_meet_at(job, fault):
    job.settings().colours(train=16).config("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
    assert fault().startswith("The 2 hosts of this job do not know where to meet: set MASTER_ADDR and MASTER_PORT")


def test_environment_variables_of_the_wrong_kind(job, fault):
    job.settings().colours(train=16)
    assert fault(DARKROOM_SPEEDOMETER="often").startswith(
        "The environment variable DARKROOM_SPEEDOMETER must be a whole"
    )
    assert fault(DARKROOM_CLASSES="cat, dog").startswith("DARKROOM_CLASSES must be a JSON list of names")


def test_a_fault_of_ours_ends_with_one_and_its_place(job, run, monkeypatch):
    job.settings().colours(train=16, validation=0)

    def broken(*arguments, **named):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("darkroom.networks.artifact.save", broken)
    code, messages = run()
    assert code == exits.ALGORITHM_ERROR
    assert job.failure.startswith("AlgorithmError: ZeroDivisionError: division by zero (test_faults.py:")
    assert any(message.startswith("ERROR Algorithm Error: ZeroDivisionError: division by zero") for message in messages)
    assert any(message.startswith("ERROR Traceback") for message in messages)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")])
def test_too_little_memory_is_the_users_to_change(error):
    failure = describe(error)
    assert failure.exit_code == exits.CLIENT_ERROR
    assert failure.reason.startswith("ClientError: Out of memory. Use a smaller mini_batch_size")


def test_the_failure_file_is_cut_to_what_is_shown(tmp_path):
    failures.report(describe(CustomerError("x" * 5000)), tmp_path / "output" / "failure", LOG)
    assert len((tmp_path / "output" / "failure").read_text()) == 1024


def test_numpy_stays_out_of_messages(job, fault):
    job.settings().records("train", [np.float32(9)])
    assert "float32" not in fault()
