"""Jobs on class folders, with no .lst: what is learned and kept, and each way to lay them out wrongly."""

import pytest

from darkroom.contract import exits
from darkroom.networks import artifact
from tests.algorithm.jobs import jpeg
from tests.inspection.sets import close

pytestmark = pytest.mark.slow

COLOURS = {"azure": 16, "brick": 16, "coal": 16}


@pytest.fixture
def fault(job, run):
    def fault(**environ: str) -> str:
        code, messages = run(**environ)
        assert code == exits.CLIENT_ERROR, messages
        return job.failure.removeprefix("ClientError: ")

    return fault


@pytest.mark.parametrize("content_type", ["application/x-image", "image/jpeg", "image/png", None])
def test_folders_train_and_name_the_classes(job, run, content_type):
    job.settings(epochs=4).folders("train", COLOURS).folders("validation", dict.fromkeys(COLOURS, 4), start=100)
    told = {"ContentType": content_type} if content_type else {}
    job.config("inputdataconfig", {"train": told, "validation": told})
    code, messages = run()
    assert code == exits.OK
    data = job.base / "input" / "data"
    searching = messages.index(f"Searching for class folders in {data}/train.")
    assert messages[searching : searching + 5] == [
        f"Searching for class folders in {data}/train.",
        "Found 48 images in 3 class folders: azure, brick, coal",
        f"Searching for class folders in {data}/validation.",
        "Found 12 images in 3 class folders: azure, brick, coal",
        "use_pretrained_model: 0",
    ]
    assert "num_training_samples: 48" in messages
    assert max(float(text.split("=")[1]) for text in messages if "Validation-accuracy" in text) > 0.9
    assert not any(text.startswith("WARNING") for text in messages)
    assert artifact.load(job.base / "model").classes == ("azure", "brick", "coal")


def test_validation_may_lack_a_class_and_keeps_the_labels(job, run):
    job.settings(epochs=4).folders("train", COLOURS)
    for k in range(9):
        path = job.channel("validation") / "coal" / "deeper" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(2, 100 + k))
    code, messages = run()
    assert code == exits.OK
    assert max(float(text.split("=")[1]) for text in messages if "Validation-accuracy" in text) > 0.9


def test_a_class_folder_that_cannot_be_read_is_no_class_less(job, fault, monkeypatch):
    job.settings().folders("train", COLOURS)
    close(job.channel("train") / "brick", monkeypatch)
    assert fault().startswith(f"A class folder of the train channel is closed: {job.channel('train')}/brick cannot be")


def test_folders_without_validation(job, run):
    job.settings().folders("train", COLOURS)
    code, messages = run()
    assert code == exits.OK
    assert any(text.startswith("WARNING There is no validation channel") for text in messages)


def test_what_lies_beside_the_images_is_left_out(job, run):
    job.settings().folders("train", COLOURS)
    (job.channel("train") / "brick" / "Thumbs.db").write_bytes(b"")
    (job.channel("train") / "readme.txt").write_text("photos of mine")
    (job.channel("train") / "classes.txt").write_text("blue\nred\nblack\n")
    (job.channel("train") / ".DS_Store").write_bytes(b"")
    (job.channel("train") / "azure" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    code, messages = run()
    assert code == exits.OK
    left_out = "WARNING Files of the train channel that are no images by their names are left out: 1 .db, 1 .txt"
    assert left_out in messages
    assert "WARNING 1 of the 49 images in the train channel cannot be read and are left out:" in messages
    assert any(text.startswith("WARNING azure/broken.jpg: ") for text in messages)
    assert artifact.load(job.base / "model").classes == ("blue", "red", "black")


def test_records_beside_images_need_a_content_type(job, run, fault):
    job.settings().folders("train", COLOURS).records("train", [0, 1, 2] * 8)
    assert fault() == (
        "The train channel holds .rec files and images (48 .jpg, 1 .idx, 1 .rec). Set its ContentType: "
        "application/x-recordio to train on the records, application/x-image to train on the images."
    )
    job.config("inputdataconfig", {"train": {"ContentType": "application/x-recordio"}})
    assert "num_training_samples: 24" in run()[1]
    job.config("inputdataconfig", {"train": {"ContentType": "application/x-image"}})
    assert "num_training_samples: 48" in run()[1]


def test_images_in_no_folder(job, fault):
    job.settings().folders("train", COLOURS)
    (job.channel("train") / "cat.JPG").write_bytes(jpeg(0, 0))
    assert fault() == (
        "1 image(s) of the train channel lie in no class folder: cat.JPG. Put the images of each class into a folder "
        "named after the class, or add the channel train_lst with a .lst file that lists the images."
    )


def test_folders_under_the_content_type_of_records(job, fault):
    job.settings().folders("train", COLOURS).config(
        "inputdataconfig", {"train": {"ContentType": "application/x-recordio"}}
    )
    assert fault() == (
        "No .rec file was found in the train channel, which holds 48 .jpg. To train on image files, set ContentType to "
        "application/x-image, not application/x-recordio. Put the images of each class into a folder named after the "
        "class, or add the channel train_lst with a .lst file that lists them."
    )


def test_validation_of_another_kind(job, fault):
    job.settings().folders("train", COLOURS).records("validation", [0, 1, 2])
    assert fault().startswith("The validation channel has no class folder with images in it; it holds 1 .idx, 1 .rec.")


def test_records_in_train_and_folders_in_validation(job, fault):
    job.settings().records("train", [0, 1, 2] * 8).folders("validation", COLOURS)
    assert fault().endswith("The train channel holds .rec files, and both are read in one way: put one there, too.")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("zebra", "Take it out, or"), ("Brick", "Is it 'brick'? Rename it, or")],
)
def test_a_class_that_only_validation_has(job, fault, name, remedy):
    job.settings().folders("train", COLOURS).folders("validation", {"azure": 1, name: 1})
    assert fault() == (
        f"The validation channel has the class folder '{name}', which the train channel does not have (azure, brick, "
        f"coal). {remedy} add images of it to the train channel."
    )


@pytest.mark.parametrize("num_classes", [2, 4])
def test_num_classes_that_are_not_the_folders(job, fault, num_classes):
    job.settings(num_classes=num_classes).folders("train", COLOURS)
    assert fault() == (
        f"num_classes is {num_classes}, but the train channel has 3 class folder(s): azure, brick, coal. Set "
        "num_classes to 3, or let S3Uri be the prefix right above the folders."
    )


def test_several_labels_need_a_lst(job, fault):
    job.settings(multi_label=1).folders("train", COLOURS)
    assert fault().startswith("multi_label is 1, but in class folders an image has one class. Set multi_label to 0, or")


def test_strict_wants_the_lst_that_sagemaker_wants(job, fault):
    job.settings(num_training_samples=48).folders("train", COLOURS)
    assert fault(DARKROOM_STRICT="1").startswith("The train_lst channel is missing. SageMaker reads images only with")
