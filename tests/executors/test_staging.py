"""Where objects land, and what it takes from the store."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract.layout import Layout
from darkroom.executors import sources
from darkroom.executors.base import Archive, Input, LogTarget, Pipe, Shard, Source, Task
from darkroom.executors.faults import StagingFailed, Stopped
from darkroom.executors.feeding import Plan
from darkroom.executors.pinning import PIPES
from darkroom.executors.staging import destination, stage
from darkroom.formats.recordio import stream
from darkroom.objects.base import Object
from darkroom.objects.local import LocalStore
from darkroom.testing.archives import tar_gz

BUCKET = "photos"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "objects")
    store.create_bucket(BUCKET)
    yield store
    store.close()


def put(store: LocalStore, key: str, content: bytes = b"x") -> Object:
    writer = store.writer()
    writer.write(content)
    return store.put(BUCKET, key, writer.commit(), {})


def task(*prefixes: str, archive: Archive | None = None) -> Task:
    inputs = tuple(Input(f"c{i}", BUCKET, prefix) for i, prefix in enumerate(prefixes))
    return Task("t", ("true",), LogTarget("g", "s"), inputs=inputs, archive=archive)


@pytest.mark.parametrize(
    ("prefix", "key", "parts"),
    [
        ("set/train/", "set/train/a.rec", ("a.rec",)),
        ("set/train/", "set/train/deep/a.rec", ("deep", "a.rec")),
        ("set/train", "set/train/a.rec", ("a.rec",)),  # a folder, named without its slash
        ("set/train", "set/train_lst/a.lst", ("train_lst", "a.lst")),  # the beginning of a name
        ("set/part-", "set/part-01/a", ("part-01", "a")),
        ("set/a.rec", "set/a.rec", ("a.rec",)),  # a whole key
        ("a.rec", "a.rec", ("a.rec",)),
        ("", "set/a.rec", ("set", "a.rec")),
        ("", "a.rec", ("a.rec",)),
        ("set/", "set/a//b", ("a", "b")),
        ("set/", "set/", None),
    ],
)
def test_where_a_key_lands(prefix: str, key: str, parts: tuple[str, ...] | None) -> None:
    assert destination(key, prefix) == parts


@given(st.text("ab./\0", max_size=8), st.integers(0, 8))
def test_no_key_leaves_its_channel(key: str, cut: int) -> None:
    try:
        parts = destination(key, key[:cut])
    except ValueError:
        return
    assert parts is None or not any("/" in part or "\0" in part or part in ("", ".", "..") for part in parts)


def test_input_is_linked_not_copied_and_read_only(store: LocalStore, tmp_path: Path) -> None:
    item = put(store, "set/a.rec")
    stage(task("set/"), tmp_path / "ml", store, lambda: False)
    staged, stored = tmp_path / "ml/input/data/c0/a.rec", store.path(item)
    assert stored is not None
    assert staged.samefile(stored)
    assert staged.stat().st_mode & 0o222 == 0


def test_input_is_copied_where_links_are_not_allowed(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "set/a.rec", b"content")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    stage(task("set/"), tmp_path / "ml", store, lambda: False)
    staged = tmp_path / "ml/input/data/c0/a.rec"
    assert staged.read_bytes() == b"content"
    assert staged.stat().st_nlink == 1
    assert staged.stat().st_mode & 0o222 == 0


class Elsewhere(LocalStore):
    """A store that keeps its content on another machine."""

    def path(self, item: Object) -> None:
        return None


def test_input_is_fetched_from_a_store_elsewhere(tmp_path: Path) -> None:
    store = Elsewhere(tmp_path / "objects")
    store.create_bucket(BUCKET)
    put(store, "set/a.rec", b"content")
    put(store, "m/model.tar.gz", tar_gz({"net": b"n"}))
    stage(task("set/", archive=Archive(BUCKET, "m/model.tar.gz")), tmp_path / "ml", store, lambda: False)
    assert (tmp_path / "ml/input/data/c0/a.rec").read_bytes() == b"content"
    assert (tmp_path / "ml/model/net").read_bytes() == b"n"
    assert sorted(path.name for path in (tmp_path / "ml").iterdir()) == [
        "checkpoints",
        "code",
        "input",
        "model",
        "output",
    ]
    store.close()


def test_more_objects_than_a_page(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PAGE", 2)
    for i in range(5):
        put(store, f"set/{i}")
    stage(task("set/"), tmp_path / "ml", store, lambda: False)
    assert len(os.listdir(tmp_path / "ml/input/data/c0")) == 5


def test_staging_again_begins_anew(store: LocalStore, tmp_path: Path) -> None:
    put(store, "set/a.rec")
    for _ in range(2):
        stage(task("set/"), tmp_path / "ml", store, lambda: False)
    assert os.listdir(tmp_path / "ml/input/data/c0") == ["a.rec"]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("shard", [None, Shard(1, 2)])
def test_it_is_told_which_line_each_image_of_a_manifest_is_of(
    store: LocalStore, tmp_path: Path, seed: int | None, shard: Shard | None
) -> None:
    lines = [b"", *(json.dumps({"ref": f"s3://{BUCKET}/{k}.jpg", "class": k}).encode() for k in range(2, 12)), b""]
    put(store, "manifest", b"\n".join([*lines[:4], b"", *lines[4:]]))
    for k in range(2, 12):
        put(store, f"{k}.jpg", b"image")
    given = {
        "source": Source.AUGMENTED,
        "attributes": ("class",),
        "shard": shard,
        "pipe": Pipe(wrapped=True, seed=seed),
    }
    channel = Input("train", BUCKET, "manifest", **given)
    stage(Task("t", ("true",), LogTarget("g", "s"), inputs=(channel,)), tmp_path / "ml", store, lambda: False)
    with open(tmp_path / "sent", "wb") as sent:
        Plan(tmp_path / PIPES / "train").send(0, sent.fileno())
    with open(tmp_path / "sent", "rb") as sent:
        classes = [int(payload) for payload in stream(sent, "what was sent")]
    told = json.loads(Layout(tmp_path / "ml").manifest_lines("train").read_text())
    assert told == [k if k < 5 else k + 1 for k in classes]  # the fifth line is blank, and so is the first
    assert len(told) == (10 if shard is None else 5)
    assert (told == sorted(told)) == (seed is None)


def test_a_stop_ends_it_before_the_next_object(store: LocalStore, tmp_path: Path) -> None:
    for i in range(3):
        put(store, f"set/{i}")
    answers = iter([False, True])
    with pytest.raises(Stopped):
        stage(task("set/"), tmp_path / "ml", store, lambda: next(answers))
    assert os.listdir(tmp_path / "ml/input/data/c0") == ["0"]


def test_a_folder_marker_with_content_is_named(store: LocalStore, tmp_path: Path) -> None:
    put(store, "set/deep/", b"content")
    with pytest.raises(StagingFailed, match=r"s3://photos/set/deep/ .* ends with a slash"):
        stage(task("set/"), tmp_path / "ml", store, lambda: False)


def test_folder_markers_alone_are_no_input(store: LocalStore, tmp_path: Path) -> None:
    put(store, "set/", b"")
    with pytest.raises(StagingFailed, match="No S3 objects found under S3 URL"):
        stage(task("set/"), tmp_path / "ml", store, lambda: False)


def test_a_missing_model_archive_is_named(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(StagingFailed, match=r"m/model\.tar\.gz"):
        stage(task(archive=Archive(BUCKET, "m/model.tar.gz")), tmp_path / "ml", store, lambda: False)


def test_a_channel_name_is_one_folder(store: LocalStore, tmp_path: Path) -> None:
    odd = Task("t", ("true",), LogTarget("g", "s"), inputs=(Input("../up", BUCKET, "set/"),))
    with pytest.raises(StagingFailed, match="channel name"):
        stage(odd, tmp_path / "ml", store, lambda: False)
