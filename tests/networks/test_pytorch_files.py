import os
import pickle
import zipfile
from fractions import Fraction

import pytest
import torch

from darkroom.networks import pytorch_files
from darkroom.networks.pretrained import WeightsError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(2)}


class Evil:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.pth"


def same(read):
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[key], value) for key, value in STATE.items())


@pytest.mark.parametrize("zipped", [True, False])  # since torch 1.6, and before
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"epoch": 3, "state_dict": s}, lambda s: {"model": s}])
def test_state_dicts_and_checkpoints_are_read(path, zipped, wrap):
    torch.save(wrap(STATE), path, _use_new_zipfile_serialization=zipped)
    same(pytorch_files.read(path))


def test_parameters_and_views_are_read_as_they_are(path):
    base = torch.arange(12.0).reshape(3, 4)
    torch.save({"p": torch.nn.Parameter(base), "t": torch.arange(6.0).reshape(2, 3).t()}, path)
    read = pytorch_files.read(path)
    assert torch.equal(read["p"], base)
    assert not read["p"].requires_grad
    assert read["t"].is_contiguous()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(path, zipped):
    torch.save({**STATE, "evil": Evil()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w.pth holds more than tensors, and is not opened.*as safetensors"):
        pytorch_files.read(path)
    assert not os.path.exists("harmed")


@pytest.mark.parametrize(("evil", "asked"), [(Evil(), "posix.system"), (Fraction(1, 2), "fractions.Fraction")])
def test_a_refused_file_is_named_with_what_it_asks_for_and_nobody_is_told_to_run_it(path, evil, asked):
    torch.save({**STATE, "evil": evil}, path)
    with pytest.raises(WeightsError) as caught:
        pytorch_files.read(path)
    assert str(caught.value) == (
        f"w.pth holds more than tensors, and is not opened: it asks for {asked}. Save the state dict alone, with "
        "torch.save(model.state_dict(), …), better still as safetensors"
    )


def test_a_bare_pickle_is_never_run(path):
    path.write_bytes(pickle.dumps(Evil()))  # of a protocol that torch warns of
    with pytest.raises(WeightsError, match=r"holds more than tensors, and is not opened\. Save"):
        pytorch_files.read(path)
    assert not os.path.exists("harmed")


def test_a_packed_archive_is_not_unpacked(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 1000)
    with pytest.raises(WeightsError, match="is an archive, but not one"):
        pytorch_files.read(path)


def test_a_tensor_larger_than_its_file_is_refused(path):
    torch.save({"huge": torch.zeros(1).expand(1 << 40)}, path)  # one number, announced a million million times
    with pytest.raises(WeightsError, match="announces larger tensors than it has bytes"):
        pytorch_files.read(path)


def test_sparse_tensors_are_refused(path):
    torch.save({"sparse": torch.eye(3).to_sparse()}, path)
    with pytest.raises(WeightsError, match="sparse is stored in a way"):
        pytorch_files.read(path)


@pytest.mark.parametrize("content", [3, [1, 2], "text"])
def test_what_is_no_state_dict_is_refused(path, content):
    torch.save(content, path)
    with pytest.raises(WeightsError, match="not a state dict"):
        pytorch_files.read(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_no_damaged_file_does_harm(path, zipped):
    torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
    whole, random = path.read_bytes(), torch.Generator().manual_seed(5)
    refused = 0
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(3):
            data[int(torch.randint(0, len(data), (1,), generator=random))] = int(
                torch.randint(0, 256, (1,), generator=random)
            )
        path.write_bytes(data)
        try:
            pytorch_files.read(path)
        except WeightsError:
            refused += 1
    assert refused > 10
