"""What every ``Executor`` must do, with real processes. Subclass, give a ``bench`` fixture, and pytest runs it all.

Tests wait for events (a log line, a phase) up to a deadline and never for a time to pass.
"""

import gzip
import os
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.contract import exits
from darkroom.errors import Conflict, Invalid, NotFound
from darkroom.executors.base import (
    Archive,
    Executor,
    Gang,
    Input,
    LogTarget,
    Observation,
    Phase,
    Pipe,
    Shard,
    Source,
    Task,
)
from darkroom.formats.recordio import records
from darkroom.objects.base import ObjectStore
from darkroom.telemetry.logs import LogStore
from darkroom.testing.archives import tar_gz

DEADLINE_S = 240.0  # a machine may have others to serve for minutes
GROUP, BUCKET = "/jobs", "photos"
OVER = (Phase.ENDED, Phase.LOST)
PREAMBLE = """
import os, signal, socket, subprocess, sys, time
from pathlib import Path
ml = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
def wait_for_the_end():
    while True:
        signal.pause()
"""
WAIT = "print('running', flush=True); wait_for_the_end()"
READ = """
def read(channel, epoch, most=-1):
    pipe = ml / "input/data" / f"{channel}_{epoch}"
    while not pipe.exists():
        time.sleep(0.001)
    with open(pipe, "rb") as stream:
        return stream.read(most)
"""
SERVE = """
server = socket.socket(socket.AF_UNIX); server.bind(os.environ["DARKROOM_SOCKET"]); server.listen()
print("listening", flush=True)
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    client.close()
"""


class Bench(ABC):
    """One executor, what it stands on, and the accidents that happen to it."""

    executor: Executor
    store: ObjectStore  # with the bucket ``photos``
    logs: LogStore

    @abstractmethod
    def reopen(self) -> None:
        """Replace ``executor`` by a new one on the same folder, as a restarted server does."""

    @abstractmethod
    def kill_launcher(self, task_id: str) -> None:
        """kill -9 of the process that watches over a running task."""

    @abstractmethod
    def start_from_killed_server(self, task: Task) -> None:
        """Start a task from a server of its own, and kill -9 that once the task runs. Then ``reopen``."""

    def put(self, key: str, content: bytes) -> None:
        writer = self.store.writer()
        writer.write(content)
        self.store.put(BUCKET, key, writer.commit(), {})

    def run(self, code: str, **task: object) -> Observation:
        """Run a Python program as task ``t`` to its end."""
        self.executor.start(python("t", code, **task))
        return self.wait("t", *OVER)

    def wait(self, task_id: str, *phases: Phase) -> Observation:
        return until(lambda: (found := self.executor.observe(task_id)).phase in phases and found)

    def wait_ready(self, task_id: str) -> Observation:
        return until(lambda: (found := self.executor.observe(task_id)).ready and found)

    def wait_line(self, task_id: str, line: str) -> None:
        until(lambda: line in self.lines(task_id))

    def lines(self, task_id: str) -> list[str]:
        try:
            return [event.message for event in self.logs.events(GROUP, task_id, from_head=True).events]
        except NotFound:
            return []


def until(found: Callable[[], Any]) -> Any:
    """The first true answer. Fails after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer


def python(task_id: str, code: str, **task: object) -> Task:
    made = Task(task_id, ("{python}", "-c", PREAMBLE + code), LogTarget(GROUP, task_id))
    return replace(made, **task)


def contents(archive: Path | None) -> dict[str, bytes]:
    assert archive is not None
    with tarfile.open(archive) as tar:
        return {m.name: file.read() for m in tar if (file := tar.extractfile(m) if m.isreg() else None)}


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class ExecutorContract:
    """See ``executors.base`` for the promises; each test holds one."""

    # ---- the command and its end ----

    def test_runs_a_command_and_tells_its_exit_code(self, bench: Bench) -> None:
        found = bench.run("sys.exit(3)")
        assert (found.phase, found.exit_code, found.failure) == (Phase.ENDED, 3, "")
        assert found.running_at is not None
        assert found.ended_at is not None
        assert found.running_at <= found.ended_at

    def test_success_is_exit_code_0_and_nothing_is_packed_unasked(self, bench: Bench) -> None:
        found = bench.run("(ml / 'model' / 'weights').write_text('w')")
        assert (found.exit_code, found.model_archive, found.output_archive) == (0, None, None)

    def test_a_signal_is_a_negative_exit_code(self, bench: Bench) -> None:
        assert bench.run("os.kill(os.getpid(), signal.SIGSEGV)").exit_code == -11

    def test_a_command_that_does_not_exist_fails_with_its_name(self, bench: Bench) -> None:
        bench.executor.start(Task("t", ("no-such-command",), LogTarget(GROUP, "t")))
        found = bench.wait("t", *OVER)
        assert found.exit_code == 127
        assert found.failure == "cannot run 'no-such-command': No such file or directory"
        assert bench.lines("t") == [f"darkroom: {found.failure}"]

    def test_the_failure_file_is_cut_at_1024_characters(self, bench: Bench) -> None:
        found = bench.run("(ml / 'output' / 'failure').write_text('é' * 2000); sys.exit(2)")
        assert (found.exit_code, found.failure) == (2, "é" * 1024)

    def test_starting_twice_runs_once(self, bench: Bench) -> None:
        task = python("t", "print('run')")
        bench.executor.start(task)
        bench.executor.start(task)
        bench.wait("t", *OVER)
        bench.executor.start(task)
        assert bench.executor.observe("t").phase is Phase.ENDED
        assert bench.lines("t") == ["run"]

    def test_an_unknown_task_is_absent_and_may_be_stopped_and_forgotten(self, bench: Bench) -> None:
        assert bench.executor.observe("nobody") == Observation(Phase.ABSENT)
        bench.executor.stop("nobody", 1)
        bench.executor.forget("nobody")

    @pytest.mark.parametrize("task_id", ["", "../up", "-t", "a/b", "a" * 152])
    def test_a_task_id_that_could_be_a_path_is_refused(self, bench: Bench, task_id: str) -> None:
        with pytest.raises(Invalid, match="task id"):
            bench.executor.start(python(task_id, "pass"))

    def test_an_unknown_environment_ends_the_task(self, bench: Bench) -> None:
        found = bench.run("pass", environment_name="fortran")
        assert (found.phase, found.exit_code) == (Phase.ENDED, None)
        assert found.failure == "environment 'fortran' is not known; known are: builtin"

    # ---- the job's world ----

    def test_variables_files_and_folders_are_there(self, bench: Bench) -> None:
        found = bench.run(
            "print(os.environ['EPOCHS'])\n"
            "print((ml / 'input/config/hyperparameters.json').read_text())\n"
            "print(*sorted(str(p.relative_to(ml)) for p in ml.rglob('*') if p.is_dir()))\n"
            "print(os.getcwd() == str(ml / 'code'), os.environ['SM_MODEL_DIR'] == str(ml / 'model'))\n",
            variables={"EPOCHS": "3"},
            files={"input/config/hyperparameters.json": '{"é": 1}'},
        )
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == [
            "3",
            '{"é": 1}',
            "checkpoints code input input/config input/data model output output/data",
            "True True",
        ]

    def test_malloc_is_tuned_and_the_servers_secrets_stay_behind(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        bench.run("print(os.environ['MALLOC_TOP_PAD_'], 'AWS_SECRET_ACCESS_KEY' in os.environ)")
        assert bench.lines("t") == ["268435456 False"]

    def test_a_file_outside_ends_the_task(self, bench: Bench) -> None:
        found = bench.run("pass", files={"../escape": "x"})
        assert found.failure == "file '../escape' would lie outside /opt/ml"

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

    # ---- output ----

    def test_output_is_logged_in_order_with_times(self, bench: Bench) -> None:
        found = bench.run(
            "[print(i, file=sys.stderr if i % 7 else sys.stdout) for i in range(5000)]; print('end', end='')"
        )
        assert found.exit_code == 0
        assert bench.lines("t") == [*map(str, range(5000)), "end"]
        times = [event.timestamp_ms for event in bench.logs.events(GROUP, "t", from_head=True).events]
        assert times == sorted(times)

    def test_odd_output_is_kept_readable(self, bench: Bench) -> None:
        bench.run(
            "odd = b'Epoch[7]\\tSpeed\\n\\n\\xff\\xfe\\n\\r10%\\r50%\\r100%\\ndos\\r\\nback\\\\slash\\n'\n"
            "sys.stdout.buffer.write(odd + b'x' * 300000 + b'\\n')"
        )
        lines = bench.lines("t")
        assert lines[:6] == ["Epoch[7]#011Speed", "", "\ufffd\ufffd", "100%", "dos", "back\\slash"]
        assert [len(line) for line in lines[6:]] == [262144, 300000 - 262144]

    def test_every_line_is_there_when_the_end_is_seen(self, bench: Bench) -> None:
        bench.executor.start(python("t", "[print('x' * 100) for _ in range(20000)]"))
        until(lambda: bench.executor.observe("t").phase is Phase.ENDED)
        count, token = 0, None
        while (page := bench.logs.events(GROUP, "t", token=token, from_head=True)).events:
            count, token = count + len(page.events), page.forward
        assert count == 20000

    @pytest.mark.parametrize(
        ("code", "exit_code"), [("pass", 0), ("sys.exit(1)", 1), ("os.kill(os.getpid(), signal.SIGKILL)", -9)]
    )
    def test_packs_model_and_output_however_the_job_ended(self, bench: Bench, code: str, exit_code: int) -> None:
        found = bench.run(
            "(ml / 'model/deep').mkdir(); (ml / 'model/deep/net').write_text('n'); (ml / 'model/a').write_text('a')\n"
            "(ml / 'output/data/notes').write_text('o')\n" + code,
            packs=True,
        )
        assert found.exit_code == exit_code
        assert contents(found.model_archive) == {"a": b"a", "deep/net": b"n"}
        assert contents(found.output_archive) == {"notes": b"o"}

    def test_nothing_to_pack_is_no_archive(self, bench: Bench) -> None:
        found = bench.run("pass", packs=True)
        assert (found.phase, found.model_archive, found.output_archive) == (Phase.ENDED, None, None)

    def test_links_that_lead_outside_are_not_packed(self, bench: Bench) -> None:
        found = bench.run(
            "(ml / 'model/real').write_text('r'); (ml / 'model/inside').symlink_to(ml / 'model/real')\n"
            "(ml / 'model/outside').symlink_to('/etc/hostname')",
            packs=True,
        )
        with tarfile.open(found.model_archive or "") as tar:
            assert {m.name: m.linkname for m in tar} == {"inside": "real", "real": ""}
        assert "outside was left out" in bench.lines("t")[-1]

    # ---- stopping ----

    def test_stop_lets_the_job_save_its_model_first(self, bench: Bench) -> None:
        bench.executor.start(
            python(
                "t",
                "def save(*_):\n    (ml / 'model/net').write_text('saved'); sys.exit(143)\n"
                "signal.signal(signal.SIGTERM, save)\n" + WAIT,
                packs=True,
            )
        )
        bench.wait_line("t", "running")
        bench.executor.stop("t", DEADLINE_S)
        bench.executor.stop("t", DEADLINE_S)
        found = bench.wait("t", *OVER)
        assert (found.phase, found.exit_code) == (Phase.ENDED, 143)
        assert contents(found.model_archive) == {"net": b"saved"}

    def test_stop_kills_what_ignores_it_after_the_grace(self, bench: Bench) -> None:
        bench.executor.start(python("t", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT))
        bench.wait_line("t", "running")
        bench.executor.stop("t", 0.2)
        assert bench.wait("t", *OVER).exit_code == -9

    def test_a_second_stop_may_shorten_the_grace(self, bench: Bench) -> None:
        bench.executor.start(python("t", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT))
        bench.wait_line("t", "running")
        bench.executor.stop("t", 3600)
        bench.executor.stop("t", 0)
        assert bench.wait("t", *OVER).exit_code == -9

    def test_stop_reaches_the_children_of_the_command(self, bench: Bench) -> None:
        bench.executor.start(
            python("t", "subprocess.run([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(3600)'])")
        )
        bench.wait_line("t", "1")
        bench.executor.stop("t", DEADLINE_S)
        bench.wait("t", *OVER)

    def test_a_stop_during_staging_means_the_command_never_runs(self, bench: Bench) -> None:
        for i in range(50):
            bench.put(f"set/{i}", b"x")
        bench.executor.start(python("t", "print('ran')", inputs=(Input("train", BUCKET, "set/"),)))
        bench.executor.stop("t", DEADLINE_S)
        found = bench.wait("t", *OVER)
        assert found.phase is Phase.ENDED
        assert found.exit_code in (None, -15)  # -15: it had just begun

    def test_nothing_of_a_job_outlives_it(self, bench: Bench) -> None:
        sleeper = "[sys.executable, '-c', 'import time; time.sleep(3600)']"
        found = bench.run(
            f"print(subprocess.Popen({sleeper}).pid, subprocess.Popen({sleeper}, start_new_session=True).pid)"
        )
        assert found.exit_code == 0
        assert all(gone(int(pid)) for pid in bench.lines("t")[0].split())

    # ---- gangs ----

    def test_tasks_of_a_gang_meet_at_one_address_that_was_free(self, bench: Bench) -> None:
        listen = (
            "place = (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))\n"
            "server = socket.create_server(place); print('listening', flush=True)\n"
            "print(server.accept()[0].recv(5).decode())\n"
        )
        call = "socket.create_connection((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))).send(b'hello')"
        bench.executor.start(python("first", listen, gang=Gang("g", 2)))
        bench.wait_line("first", "listening")
        bench.reopen()
        bench.executor.start(python("second", call, gang=Gang("g", 2)))
        assert bench.wait("first", *OVER).exit_code == bench.wait("second", *OVER).exit_code == 0
        assert bench.lines("first") == ["listening", "hello"]

    def test_another_gang_meets_elsewhere(self, bench: Bench) -> None:
        for task_id, gang in (("a", Gang("g", 2)), ("b", Gang("g", 2)), ("c", Gang("h", 1)), ("d", None)):
            bench.executor.start(python(task_id, "print(os.environ.get('MASTER_PORT'))", gang=gang))
            bench.wait(task_id, *OVER)
        a, b, c, d = (bench.lines(task_id)[0] for task_id in "abcd")
        assert a == b != c
        assert d == "None"

    # ---- serving ----

    def test_a_serving_task_is_ready_when_it_answers_ping(self, bench: Bench) -> None:
        bench.executor.start(python("t", SERVE, serves=True))
        found = bench.wait_ready("t")
        assert found.phase is Phase.RUNNING
        assert found.socket is not None
        assert len(os.fsencode(found.socket)) < 100
        bench.executor.stop("t", DEADLINE_S)
        ended = bench.wait("t", *OVER)
        assert (ended.ready, ended.socket, ended.exit_code) == (False, None, -15)
        until(lambda: not Path(str(found.socket)).exists())

    def test_a_worker_that_answers_503_is_not_ready(self, bench: Bench) -> None:
        bench.executor.start(
            python(
                "t",
                SERVE.replace("200 OK", "503 Loading").replace(
                    "    client.close()", "    client.close(); print('asked', flush=True)"
                ),
                serves=True,
            )
        )
        until(lambda: bench.lines("t").count("asked") >= 2)
        assert not bench.executor.observe("t").ready
        bench.executor.stop("t", 0)
        bench.wait("t", *OVER)

    # ---- hints ----

    def test_changes_are_announced(self, bench: Bench) -> None:
        told: list[tuple[str, Phase]] = []
        bench.executor.watch(lambda task_id: told.append((task_id, bench.executor.observe(task_id).phase)))
        bench.executor.start(python("t", "pass"))
        until(lambda: ("t", Phase.ENDED) in told)

    # ---- accidents ----

    def test_a_new_executor_takes_over_what_runs(self, bench: Bench) -> None:
        bench.executor.start(python("t", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n" + WAIT))
        bench.wait_line("t", "running")
        bench.reopen()
        assert bench.executor.tasks() == ["t"]
        assert bench.executor.observe("t").phase is Phase.RUNNING
        told: list[str] = []
        bench.executor.watch(told.append)
        bench.executor.stop("t", DEADLINE_S)
        assert bench.wait("t", *OVER).exit_code == 7
        until(lambda: "t" in told)

    def test_a_new_executor_finds_workers_ready(self, bench: Bench) -> None:
        bench.executor.start(python("t", SERVE, serves=True))
        bench.wait_ready("t")
        bench.reopen()
        bench.wait_ready("t")
        bench.executor.stop("t", 0)
        bench.wait("t", *OVER)

    def test_a_killed_server_comes_back_to_the_true_exit_code_and_all_output(self, bench: Bench) -> None:
        lines = "[(print(i), time.sleep(0.001)) for i in range(1000)]"
        bench.start_from_killed_server(python("t", f"print('running'); {lines}; sys.exit(5)", packs=True))
        bench.reopen()
        found = bench.wait("t", *OVER)
        assert (found.phase, found.exit_code) == (Phase.ENDED, 5)
        assert bench.lines("t") == ["running", *map(str, range(1000))]

    def test_a_killed_launcher_means_lost_and_takes_the_job_with_it(self, bench: Bench) -> None:
        sleeper = "[sys.executable, '-c', 'import time; time.sleep(3600)']"
        code = f"print(os.getpid(), subprocess.Popen({sleeper}, start_new_session=True).pid, flush=True)"
        bench.executor.start(python("t", f"{code}; wait_for_the_end()", packs=True))
        until(lambda: bench.lines("t"))
        bench.kill_launcher("t")
        found = bench.wait("t", *OVER)
        assert (found.phase, found.exit_code) == (Phase.LOST, None)
        until(lambda: all(gone(int(pid)) for pid in bench.lines("t")[0].split()))
        bench.reopen()
        assert bench.executor.observe("t").phase is Phase.LOST

    # ---- forgetting ----

    def test_forget_leaves_only_the_log(self, bench: Bench) -> None:
        found = bench.run("(ml / 'model/net').write_text('n'); print('said')", packs=True)
        bench.executor.forget("t")
        assert bench.executor.observe("t").phase is Phase.ABSENT
        assert bench.executor.tasks() == []
        assert not Path(str(found.model_archive)).exists()
        assert bench.lines("t") == ["said"]

    def test_a_running_task_is_not_forgotten(self, bench: Bench) -> None:
        bench.executor.start(python("t", WAIT))
        bench.wait_line("t", "running")
        with pytest.raises(Conflict, match="stop it first"):
            bench.executor.forget("t")
        bench.executor.stop("t", 0)
        bench.wait("t", *OVER)
