import json

import pytest
import torch

from darkroom.formats import params
from darkroom.networks import artifact
from darkroom.networks.artifact import ArtifactError, load, save
from darkroom.networks.resnet import build

SHAPE = (3, 28, 30)
PREPROCESSING = {"shorter_side": 32, "mode": "crop"}


@pytest.fixture(scope="module")
def net():
    return build(20, 3, SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def folder(tmp_path, net):
    save(tmp_path, net, epoch=2, batch_size=64, classes=["cat", "hén", "dog"], preprocessing=PREPROCESSING)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_is_aws_with_one_file_more(folder):
    assert names(folder) == [
        "darkroom.txt",
        "image-classification-0002.params",
        "image-classification-symbol.json",
        "model-shapes.json",
    ]
    assert (folder / "model-shapes.json").read_bytes() == b'[{"shape": [64, 3, 28, 30], "name": "data"}]'


def test_aws_compiler_finds_one_symbol_file(folder):
    # AWS's Neo takes every .json for the symbol but these; a second one fails the compilation job
    assert [n for n in names(folder) if n.endswith(".json") and n not in ("model-shapes.json", "hyperparams.json")] == [
        artifact.SYMBOL
    ]


def test_a_model_survives_the_round_trip(folder, net):
    loaded = load(folder)
    assert (loaded.num_layers, loaded.num_classes, loaded.image_shape, loaded.epoch) == (20, 3, SHAPE, 2)
    assert (loaded.classes, loaded.preprocessing, loaded.multi_label) == (("cat", "hén", "dog"), PREPROCESSING, False)
    images = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(2)) * 255
    with torch.inference_mode():
        assert torch.equal(loaded.net(images), net.eval()(images))


def test_the_better_epoch_replaces_the_best_so_far(folder, net):
    path = save(folder, net, epoch=12, batch_size=64)
    assert path == folder / "image-classification-0012.params"
    assert [name for name in names(folder) if name.endswith(".params")] == [path.name]


def test_checkpoints_are_kept_and_the_latest_is_loaded(folder, net):
    save(folder, net, epoch=10000, batch_size=64, keep_earlier=True)
    save(folder, net, epoch=9, batch_size=64, keep_earlier=True)
    assert sum(name.endswith(".params") for name in names(folder)) == 3
    assert load(folder).epoch == 10000


def test_a_save_that_fails_keeps_the_model_that_was_there(folder, net, monkeypatch):
    def full(file, arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(params, "write", full)
    with pytest.raises(OSError, match="no space"):
        save(folder, net, epoch=3, batch_size=64)
    monkeypatch.undo()
    assert load(folder).epoch == 2
    assert not [name for name in names(folder) if name.endswith(".part")]


def test_a_model_made_on_aws_has_no_details(folder):
    (folder / "darkroom.txt").unlink()
    loaded = load(folder)
    assert (loaded.classes, loaded.preprocessing, loaded.multi_label) == (None, None, False)


def test_several_labels_are_remembered_by_the_symbol_alone(tmp_path, net):
    save(tmp_path, net, epoch=1, batch_size=1, multi_label=True)
    (tmp_path / "darkroom.txt").unlink()
    assert load(tmp_path).multi_label


def test_as_many_names_as_classes(tmp_path, net):
    with pytest.raises(ValueError, match="2 class names for a network of 3 classes"):
        save(tmp_path, net, epoch=1, batch_size=1, classes=["a", "b"])
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("image-classification-0002.params", b"", "^image-classification-0002.params, byte 0: the file is empty"),
        ("image-classification-0002.params", b"\x80\x04pickle" * 9, "is this a .params file"),
        ("model-shapes.json", b"{}", "model-shapes.json does not say"),
        ("model-shapes.json", b'[{"shape": [1, 3, true, 28], "name": "data"}]', "model-shapes.json does not say"),
        ("model-shapes.json", b'[{"shape": [1, 3, -1, 28], "name": "data"}]', "model-shapes.json does not say"),
        ("model-shapes.json", b'[{"shape": [1, 3, 99999, 28]}]', "asks for images of 99999x28; at most 8192 pixels"),
        ("model-shapes.json", b'[{"shape": [1, 1, 28, 28]}]', r"takes 3 channel\(s\)"),
        ("model-shapes.json", b"\xff", "not readable as JSON"),
        ("model-shapes.json", b"[" * 100_000, "not readable as JSON"),
        ("image-classification-symbol.json", b"[]", "is no MXNet graph"),
        ("image-classification-symbol.json", b'{"nodes": [{"op": "MakeLoss"}, 3]}', "ends in no output known here"),
        ("image-classification-symbol.json", b" " * (artifact.MAX_JSON_BYTES + 1), "more than any model's"),
        ("darkroom.txt", b"3", "darkroom.txt is not a JSON object"),
        ("darkroom.txt", b'{"classes": ["a", "b"]}', "does not name the 3 classes"),
        ("darkroom.txt", b'{"classes": ["a", "b", 3]}', "does not name the 3 classes"),
        ("darkroom.txt", b'{"preprocessing": []}', "'preprocessing' is not a JSON object"),
    ],
)
def test_hostile_and_broken_files_are_refused_with_the_reason(folder, file, content, reason):
    (folder / file).write_bytes(content)
    with pytest.raises(ArtifactError, match=reason):
        load(folder)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (
            "image-classification-0002.params",
            r"holds no image-classification-NNNN.params file \(it holds: darkroom.txt",
        ),
        ("image-classification-symbol.json", "holds no image-classification-symbol.json"),
        ("model-shapes.json", "holds no model-shapes.json"),
    ],
)
def test_a_missing_file_is_named(folder, file, reason):
    (folder / file).unlink()
    with pytest.raises(ArtifactError, match=reason):
        load(folder)


def test_details_are_readable_text(folder):
    details = json.loads((folder / "darkroom.txt").read_text())
    assert (details["classes"], details["image_shape"], details["num_layers"]) == (
        ["cat", "hén", "dog"],
        [3, 28, 30],
        20,
    )
