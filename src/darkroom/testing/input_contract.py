"""What every ``Executor`` must do with a job's input, as files and through pipes: a part of ``ExecutorContract``."""

import gzip
from collections.abc import Sequence

import pytest

from darkroom.contract import exits
from darkroom.executors.base import (
    Archive,
    Input,
    Phase,
    Pipe,
    Shard,
    Source,
)
from darkroom.formats.recordio import records
from darkroom.testing.archives import tar_gz
from darkroom.testing.executor_bench import (
    BUCKET,
    OVER,
    Bench,
    contents,
    python,
)

READ = """
def read(channel, epoch, most=-1):
    pipe = ml / "input/data" / f"{channel}_{epoch}"
    while not pipe.exists():
        time.sleep(0.001)
    with open(pipe, "rb") as stream:
        return stream.read(most)
"""


class InputContract:
    # ---- input ----

    def test_objects_below_the_prefix_are_the_channel(self, bench: Bench) -> None:
        for key in ("set/train/a.rec", "set/train/deep/b.rec", "set/training/c.rec", "set/validation/d.rec"):
            bench.put(key, key.encode())
        bench.put("set/train/", b"")  # the folder marker that consoles make
        show = "[print(p.relative_to(ml), p.read_text()) for p in sorted(ml.glob('input/data/*/**/*')) if p.is_file()]"
        found = bench.run(
            show, inputs=(Input("train", BUCKET, "set/train/"), Input("one", BUCKET, "set/validation/d.rec"))
        )
        assert found.exit_code == 0, found
        assert bench.lines("t") == [
            "input/data/one/d.rec set/validation/d.rec",
            "input/data/train/a.rec set/train/a.rec",
            "input/data/train/deep/b.rec set/train/deep/b.rec",
        ]

    def test_what_a_job_does_to_its_input_leaves_the_stored_objects_alone(self, bench: Bench) -> None:
        bench.put("set/a", b"stored")
        bench.run(
            "try:\n    (ml / 'input/data/train/a').write_bytes(b'scribbled over')\n"
            "except OSError as error:\n    print(error.strerror)\n",
            inputs=(Input("train", BUCKET, "set/"),),
        )
        assert b"".join(bench.store.read(bench.store.get(BUCKET, "set/a"))) == b"stored"

    @pytest.mark.parametrize(
        ("keys", "named", "reason"),
        [
            (["set/../up"], "set/../up", '"." and ".." cannot be folder names'),
            (["set//etc/passwd"], "set//etc/passwd", "absolute path"),
            (["set/nul\0byte"], "set/nul\0byte", "NUL"),
            (["set/a", "set/a/b"], "set/a/b", "another key there has the same path"),
            (["set/" + "x" * 300], "set/" + "x" * 300, "File name too long"),
        ],
    )
    def test_keys_that_cannot_be_files_end_the_task(
        self, bench: Bench, keys: Sequence[str], named: str, reason: str
    ) -> None:
        for key in keys:
            bench.put(key, b"x")
        found = bench.run("print('ran')", inputs=(Input("train", BUCKET, "set/"),))
        assert (found.phase, found.exit_code) == (Phase.ENDED, None)
        assert f"s3://{BUCKET}/{named}" in found.failure
        assert reason in found.failure
        assert bench.lines("t") == []

    @pytest.mark.parametrize("bucket", [BUCKET, "no-such-bucket"])
    def test_a_channel_without_objects_ends_the_task(self, bench: Bench, bucket: str) -> None:
        found = bench.run("pass", inputs=(Input("train", bucket, "nothing/here"),))
        assert (found.phase, found.exit_code) == (Phase.ENDED, None)
        assert bucket in found.failure

    def test_the_model_archive_is_unpacked(self, bench: Bench) -> None:
        bench.put("model.tar.gz", tar_gz({"": None, "./net.params": b"p", "code/inference.py": b"c"}))
        show = "[print(p.relative_to(ml), p.read_text()) for p in sorted(ml.glob('model/**/*')) if p.is_file()]"
        bench.run(show, archive=Archive(BUCKET, "model.tar.gz"))
        assert bench.lines("t") == ["model/code/inference.py c", "model/net.params p"]

    def test_an_archive_that_is_none_ends_the_task_with_its_address(self, bench: Bench) -> None:
        bench.put("model.tar.gz", b"these are not the bytes you are looking for" * 50)
        found = bench.run("pass", archive=Archive(BUCKET, "model.tar.gz"))
        assert found.exit_code is None
        assert f"s3://{BUCKET}/model.tar.gz is not a complete gzipped tar archive" in found.failure

    def test_a_manifest_names_the_objects_of_a_channel(self, bench: Bench) -> None:
        for key in ("set/a", "set/deep/b", "set/unnamed"):
            bench.put(key, key.encode())
        bench.put("m.json", b'[{"prefix": "s3://photos/set/"}, "deep/b", "a"]')
        show = "[print(p.relative_to(ml), p.read_text()) for p in sorted(ml.glob('input/data/*/**/*')) if p.is_file()]"
        bench.run(show, inputs=(Input("train", BUCKET, "m.json", Source.MANIFEST),))
        assert bench.lines("t") == ["input/data/train/a set/a", "input/data/train/deep/b set/deep/b"]

    def test_a_manifest_that_names_what_is_not_there_ends_the_task(self, bench: Bench) -> None:
        bench.put("m.json", b'[{"prefix": "s3://photos/set/"}, "gone"]')
        found = bench.run("pass", inputs=(Input("train", BUCKET, "m.json", Source.MANIFEST),))
        assert found.exit_code is None
        assert found.failure == (
            "manifest s3://photos/m.json of channel 'train' names s3://photos/set/gone, which does not exist"
        )

    def test_shards_share_out_the_objects_of_a_channel(self, bench: Bench) -> None:
        bench.put("set/", b"")
        for key in "abcde":
            bench.put(f"set/{key}", b"x")
        for host in (0, 1):
            show = "print(*sorted(p.name for p in ml.glob('input/data/train/*')))"
            part = Input("train", BUCKET, "set/", shard=Shard(host, 2))
            bench.executor.start(python(f"t{host}", show, inputs=(part,)))
            bench.wait(f"t{host}", *OVER)
        assert (bench.lines("t0"), bench.lines("t1")) == (["a c e"], ["b d"])

    # ---- piped input ----

    def test_every_epoch_of_a_piped_channel_is_the_whole_channel_in_order(self, bench: Bench) -> None:
        for key, content in {"set/b": b"2" * 300_000, "set/a": b"1" * 100_000, "set/c/d": b"3"}.items():
            bench.put(key, content)
        found = bench.run(
            READ + "whole = b'1' * 100_000 + b'2' * 300_000 + b'3'\n"
            "print(*(read('train', epoch) == whole for epoch in range(5)), read('other', 0) == whole)\n",
            inputs=(Input("train", BUCKET, "set/", pipe=Pipe()), Input("other", BUCKET, "set/", pipe=Pipe())),
        )
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == ["True True True True True True"]

    def test_the_next_epochs_pipe_is_there_before_the_present_one_was_read(self, bench: Bench) -> None:
        bench.put("set/a", b"x" * 3_000_000)
        found = bench.run(
            READ + "now = open(ml / 'input/data/train_0', 'rb'); first = now.read(10)\n"
            "print(len(read('train', 1)), len(first + now.read()))",
            inputs=(Input("train", BUCKET, "set/a", pipe=Pipe()),),
        )
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == ["3000000 3000000"]

    def test_a_reader_may_leave_early_and_begin_again(self, bench: Bench) -> None:
        bench.put("set/a", bytes(range(256)) * 20_000)
        found = bench.run(
            READ + "print(read('train', 0, 1) + read('train', 0, 2), len(read('train', 0)), read('train', 1, 1))",
            inputs=(Input("train", BUCKET, "set/a", pipe=Pipe()),),
        )
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == [r"b'\x00\x00\x01' 5120000 b'\x00'"]

    def test_a_seed_gives_every_epoch_another_order_and_every_run_the_same(self, bench: Bench) -> None:
        for place in range(20):
            bench.put(f"set/{place:02}", f"{place:02} ".encode())
        code = READ + "[print(read('train', epoch).decode()) for epoch in range(3)]"
        for task_id, seed in (("t", 7), ("again", 7), ("other", 8)):
            inputs = (Input("train", BUCKET, "set/", pipe=Pipe(seed=seed)),)
            bench.executor.start(python(task_id, code, inputs=inputs))
            bench.wait(task_id, *OVER)
        orders = bench.lines("t")
        assert len({*orders, *bench.lines("other")}) == 6
        assert [sorted(order.split()) for order in orders] == [[f"{place:02}" for place in range(20)]] * 3
        assert bench.lines("again") == orders

    def test_shards_with_a_seed_are_cut_anew_each_epoch(self, bench: Bench) -> None:
        for place in range(20):
            bench.put(f"set/{place:02}", f"{place:02} ".encode())
        parts = []
        for host in (0, 1):
            channel = Input("train", BUCKET, "set/", shard=Shard(host, 2), pipe=Pipe(seed=1))
            code = READ + "[print(read('train', epoch).decode()) for epoch in range(2)]"
            bench.executor.start(python(f"t{host}", code, inputs=(channel,)))
            bench.wait(f"t{host}", *OVER)
            parts.append([line.split() for line in bench.lines(f"t{host}")])
        for first, second in zip(*parts, strict=True):
            assert sorted(first + second) == [f"{place:02}" for place in range(20)]
            assert len(first) == 10
        assert set(parts[0][0]) != set(parts[0][1])

    def test_an_augmented_manifest_is_its_attributes_as_records(self, bench: Bench) -> None:
        magic = b"\x0a\x23\xd7\xce"
        images = {"img/a.jpg": b"\xff\xd8" + b"a" * 70_000, "img/b.jpg": b"abcd" + magic + b"efg"}
        for key, content in images.items():
            bench.put(key, content)
        bench.put(
            "m.jsonl",
            b'{"source-ref": "s3://photos/img/a.jpg", "class": "1", "class-metadata": {"x": 1}}\n'
            b'{"class": [0, 1], "source-ref": "s3://photos/img/b.jpg"}\n\n'
            b'{"class": 2, "source-ref": "s3://photos/img/a.jpg"}',
        )
        channel = Input("train", BUCKET, "m.jsonl", Source.AUGMENTED, ("source-ref", "class"), pipe=Pipe(wrapped=True))
        found = bench.run(
            READ + "[(ml / 'model' / str(epoch)).write_bytes(read('train', epoch)) for epoch in (0, 1)]",
            inputs=(channel,),
            packs=True,
        )
        assert found.exit_code == 0, bench.lines("t")
        sent = contents(found.model_archive)
        first, second = images.values()
        assert [bytes(r) for r in records(sent["0"])] == [first, b"1", second, b"[0, 1]", first, b"2"]
        assert sent["0"] == sent["1"]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (b'{"source-ref": "s3://photos/gone.jpg", "class": 1}', "it names s3://photos/gone.jpg, which does not"),
            (b'{"class": 1}', "it has no attribute 'source-ref', which AttributeNames asks for; it has class"),
            (b"\xff\xd8", "it is not JSON"),
            (b'["source-ref"]', "one JSON object a line"),
            (b'{"source-ref": "gone.jpg", "class": 1}', "not an S3 location such as"),
        ],
    )
    def test_a_line_of_an_augmented_manifest_that_cannot_be_sent_ends_the_task(
        self, bench: Bench, line: bytes, said: str
    ) -> None:
        bench.put("a", b"a")
        bench.put("m.jsonl", b'{"source-ref": "s3://photos/a", "class": 1}\n' + line)
        attributes = ("source-ref", "class")
        channel = Input("train", BUCKET, "m.jsonl", Source.AUGMENTED, attributes, pipe=Pipe(wrapped=True))
        found = bench.run("print('ran')", inputs=(channel,))
        assert found.exit_code is None
        assert found.failure.startswith("augmented manifest s3://photos/m.jsonl of channel 'train', line 2: ")
        assert said in found.failure

    def test_gzipped_objects_are_unpacked_on_the_way(self, bench: Bench) -> None:
        bench.put("set/a.gz", gzip.compress(b"first "))
        bench.put("set/b.gz", gzip.compress(b"second"))
        found = bench.run(
            READ + "print(read('train', 0))", inputs=(Input("train", BUCKET, "set/", pipe=Pipe(gzipped=True)),)
        )
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == ["b'first second'"]

    def test_a_fault_while_feeding_ends_the_task_and_is_no_end_of_data(self, bench: Bench) -> None:
        bench.put("set/a.gz", gzip.compress(b"whole ") + b"and then none")
        found = bench.run(
            READ + "print('read', len(read('train', 0)))",
            inputs=(Input("train", BUCKET, "set/", pipe=Pipe(gzipped=True)),),
        )
        assert (found.phase, found.exit_code) == (Phase.ENDED, exits.CLIENT_ERROR)
        assert found.failure.startswith("channel 'train', epoch 0: object s3://photos/set/a.gz cannot be read as gzip:")
        assert bench.lines("t") == [f"darkroom: {found.failure}"]

    def test_pipes_are_fed_on_when_the_objects_and_the_server_are_gone(self, bench: Bench) -> None:
        for key in "abc":
            bench.put(f"set/{key}", key.encode() * 2_000_000)
        code = READ + (
            "print('running', flush=True)\n"
            "with open(ml / 'input/data/train_0', 'rb') as pipe:\n"
            "    first = pipe.read(1)\n"
            "    print(len(first + pipe.read()), len(read('train', 1)), flush=True)\n"
        )
        bench.executor.start(python("t", code, inputs=(Input("train", BUCKET, "set/", pipe=Pipe()),)))
        bench.wait_line("t", "running")
        for key in "abc":
            bench.store.delete(BUCKET, f"set/{key}")
        bench.reopen()
        assert bench.wait("t", *OVER).exit_code == 0
        assert bench.lines("t") == ["running", "6000000 6000000"]
