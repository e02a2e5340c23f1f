import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from darkroom.control import channel_checks
from darkroom.control.channel_checks import Asked
from darkroom.errors import Invalid
from darkroom.objects.local import LocalStore
from tests.control.platform import channel

BUILT_IN = Asked("File", 1, "us-east-1", "role", builtin=True, strict=False)
OWN = Asked("File", 1, "us-east-1", "role", builtin=False, strict=False)
LINE = {"source-ref": "s3://photos/set/a.jpg", "class": 1}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path_factory.mktemp("objects"))
    store.create_bucket("photos")
    contents = {
        "set/": b"",
        "set/a.jpg": b"jpeg",
        "set/b.jpg": b"jpeg",
        "gz/a.gz": gzip.compress(b"x"),
        "records/a.rec": b"records",
        "beside/train.rec": b"records",
        "beside/train.idx": b"0\t0\n",
        "augmented": b"\n" + json.dumps(LINE).encode() + b"\n{not looked at",
        "missing-ref": json.dumps(LINE | {"source-ref": "s3://photos/gone.jpg"}).encode(),
        "manifest": b'[{"prefix": "s3://photos/set/"}, "a.jpg", "b.jpg"]',
        "missing": b'[{"prefix": "s3://photos/set/"}, "gone.jpg"]',
    }
    for key, content in contents.items():
        writer = store.writer()
        writer.write(content)
        store.put("photos", key, writer.commit())
    yield store
    store.close()


def made(key: str, kind: str = "S3Prefix", source: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    given = channel("train", f"s3://photos/{key}", **changes)
    given["DataSource"]["S3DataSource"] |= {"S3DataType": kind} | (source or {})
    return given


def augmented(key: str = "augmented", names: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    attributes = ["source-ref", "class"] if names is None else names
    wrapped = {"RecordWrapperType": "RecordIO", "InputMode": "Pipe"} | changes
    return made(key, "AugmentedManifestFile", {"AttributeNames": attributes} if attributes else {}, **wrapped)


SHARDED = {"S3DataDistributionType": "ShardedByS3Key"}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (made("records/", InputMode="Pipe"), BUILT_IN),
        (made("beside/train.rec", InputMode="Pipe"), BUILT_IN),
        (made("beside/"), BUILT_IN),
        (made("set/", InputMode="Pipe"), OWN),
        (made("set/", InputMode="FastFile"), BUILT_IN),
        (made("set/", InputMode="Pipe", RecordWrapperType="RecordIO"), OWN),
        (made("gz/", InputMode="Pipe", CompressionType="Gzip"), BUILT_IN),
        (made("manifest", "ManifestFile"), BUILT_IN),
        (made("manifest", "ManifestFile", SHARDED), Asked("File", 2, "r", "role", builtin=False, strict=False)),
        (made("set/", source=SHARDED), Asked("File", 2, "r", "role", builtin=False, strict=False)),
        (augmented(), BUILT_IN),
        (augmented(InputMode="File"), BUILT_IN),  # it is piped all the same
        (augmented(RecordWrapperType="None", names=["source-ref"]), OWN),
        (made("set/a.jpg", ContentType="application/x-sagemaker-model"), Asked("Pipe", 1, "r", "", True, False)),
    ],
)
def test_every_input_is_accepted(objects: LocalStore, given: dict[str, Any], asked: Asked) -> None:
    channel_checks.check(given, asked, objects)


@pytest.mark.parametrize(
    ("given", "asked", "said"),
    [
        (
            augmented(InputMode="File"),
            OWN,
            "channel train: S3DataType AugmentedManifestFile needs input mode Pipe, not File: set InputMode of the "
            "channel, or TrainingInputMode, to Pipe",
        ),
        (
            augmented(InputMode="FastFile"),
            Asked("Pipe", 1, "r", "role", builtin=True, strict=True),
            "needs input mode Pipe, not FastFile",
        ),
        (augmented(names=[]), BUILT_IN, 'AttributeNames, such as ["source-ref", "class"]'),
        (augmented(names=["source-ref"]), BUILT_IN, "AttributeNames ['source-ref'] must be two"),
        (augmented(RecordWrapperType="None"), BUILT_IN, "set RecordWrapperType to RecordIO"),
        (augmented(names=["source-ref", "label"]), BUILT_IN, "first line: it has no attribute 'label'"),
        (augmented("missing-ref"), BUILT_IN, "it names s3://photos/gone.jpg, which does not exist"),
        (augmented("set/a.jpg"), BUILT_IN, "augmented manifest s3://photos/set/a.jpg, first line: it is not JSON"),
        (augmented("nothing"), BUILT_IN, "needs the S3Uri of one file, and there is none at 's3://photos/nothing'"),
        (made("missing", "ManifestFile"), BUILT_IN, "names s3://photos/set/gone.jpg, which does not exist"),
        (made("set/a.jpg", "ManifestFile"), BUILT_IN, "manifest s3://photos/set/a.jpg: it is not JSON"),
        (made("set/", "Converse"), BUILT_IN, "S3DataType Converse is not offered here; use one of S3Prefix, Manifest"),
        (made("gz/", CompressionType="Gzip"), BUILT_IN, "CompressionType Gzip is for input mode Pipe"),
        (made("set/", InputMode="Pipe", RecordWrapperType="RecordIO"), BUILT_IN, "records already: leave it out"),
        (
            made("beside/", InputMode="Pipe"),
            BUILT_IN,
            "channel train: Pipe mode sends every object under s3://photos/beside/, and s3://photos/beside/train.idx "
            "is no .rec file: give the S3Uri of the .rec file itself, or set InputMode to File",
        ),
        (made("set/", InputMode="Pipe"), BUILT_IN, "s3://photos/set/a.jpg is no .rec file"),
        (made("gz/", InputMode="Pipe"), BUILT_IN, "s3://photos/gz/a.gz is no .rec file: set CompressionType to Gzip"),
        (made("set/", InputMode="Pipe", ContentType="application/x-image"), BUILT_IN, "set InputMode to File"),
        (
            made("set/a.jpg", InputMode="Pipe", ContentType="application/x-sagemaker-model"),
            BUILT_IN,
            "a model is read in input mode File",
        ),
        (
            made("set/", source=SHARDED),
            Asked("File", 3, "r", "role", builtin=False, strict=False),
            "ShardedByS3Key gives each of 3 hosts a part of the objects, and there are 2. Lower InstanceCount",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_the_settings_name(
    objects: LocalStore, given: dict[str, Any], asked: Asked, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        channel_checks.check(given, asked, objects)
    assert said in str(refused.value)
