"""What every ``Executor`` must do with checkpoints. Subclass beside ``ExecutorContract``, with the same fixture."""

from darkroom.executors.base import Checkpoints, Phase, Task
from darkroom.testing.executor_bench import BUCKET, OVER, WAIT, Bench, python, until

KEPT = Checkpoints(BUCKET, "kept/")
SAVE = """
def save(name, text):
    path = ml / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)
"""


class CheckpointContract:
    def test_what_is_stored_is_there_before_the_start_and_may_be_changed(self, bench: Bench) -> None:
        bench.put("kept/epoch/1", b"old")
        bench.put("kept/other", b"still")
        seen = "print((ml / 'checkpoints/epoch/1').read_text(), sorted(os.listdir(ml / 'checkpoints')))\n"
        found = bench.run(seen + "(ml / 'checkpoints/epoch/1').write_text('new')", checkpoints=KEPT)
        assert found.exit_code == 0, bench.lines("t")
        assert bench.lines("t") == ["old ['epoch', 'other']"]
        assert stored(bench) == {"kept/epoch/1": b"new", "kept/other": b"still"}

    def test_what_rests_is_stored_while_the_task_runs(self, bench: Bench) -> None:
        bench.executor.start(saving("save('a/1', 'one')\n" + WAIT))
        until(lambda: stored(bench) == {"kept/a/1": b"one"})
        assert bench.executor.observe("t").phase is Phase.RUNNING
        bench.executor.stop("t", 0)
        bench.wait("t", *OVER)

    def test_all_is_stored_before_the_end_is_seen_and_nothing_deleted(self, bench: Bench) -> None:
        bench.put("kept/old", b"old")
        bench.executor.start(saving("(ml / 'checkpoints/old').unlink()\nfor i in range(20): save(f'{i}', 'x' * i)"))
        assert bench.wait("t", *OVER).phase is Phase.ENDED
        assert stored(bench) == {"kept/old": b"old"} | {f"kept/{i}": b"x" * i for i in range(20)}

    def test_a_killed_job_leaves_what_it_saved(self, bench: Bench) -> None:
        bench.executor.start(saving("save('1', 'one'); os.kill(os.getpid(), signal.SIGKILL)"))
        assert bench.wait("t", *OVER).exit_code == -9
        assert stored(bench) == {"kept/1": b"one"}

    def test_a_killed_launcher_leaves_what_its_job_saved(self, bench: Bench) -> None:
        bench.executor.start(saving("save('1', 'one')\n" + WAIT))
        bench.wait_line("t", "running")
        bench.kill_launcher("t")
        assert bench.wait("t", *OVER).phase is Phase.LOST
        assert stored(bench) == {"kept/1": b"one"}

    def test_a_killed_server_stores_when_it_is_back(self, bench: Bench) -> None:
        bench.put("kept/old", b"old")
        bench.start_from_killed_server(saving("print('running', flush=True); save('1', 'one')"))
        bench.put("kept/old", b"changed by another")
        bench.reopen()
        assert bench.wait("t", *OVER).phase is Phase.ENDED
        assert stored(bench) == {"kept/1": b"one", "kept/old": b"changed by another"}

    def test_links_and_pipes_among_checkpoints_are_left_alone(self, bench: Bench) -> None:
        odd = (
            "folder = ml / 'checkpoints'\n"
            "(folder / 'host').symlink_to('/etc/hostname'); (folder / 'etc').symlink_to('/etc')\n"
            "os.mkfifo(folder / 'pipe'); save('1', 'one')"
        )
        bench.executor.start(saving(odd))
        bench.wait("t", *OVER)
        assert stored(bench) == {"kept/1": b"one"}

    def test_what_cannot_be_stored_is_said_and_the_rest_is(self, bench: Bench) -> None:
        bench.executor.start(
            saving("save('a' * 200 + '/' + 'b' * 200, ''); save('d/' * 450 + 'e', 'two'); save('1', '')")
        )
        assert bench.wait("t", *OVER).phase is Phase.ENDED
        long = f"kept/{'d/' * 450}e"
        assert set(stored(bench)) == {f"kept/{'a' * 200}/{'b' * 200}", long, "kept/1"}
        again = saving("save('f/' * 520 + 'g', 'three'); save('2', '')")
        bench.executor.forget("t")
        bench.executor.start(again)
        assert bench.wait("t", *OVER).phase is Phase.ENDED
        assert "kept/2" in stored(bench)
        assert "keys have at most 1024 bytes" in bench.lines("t")[-1]

    def test_a_key_that_cannot_be_a_file_ends_the_task(self, bench: Bench) -> None:
        bench.put("kept/../outside", b"x")
        found = bench.run("pass", checkpoints=KEPT)
        assert found.exit_code is None
        assert "s3://photos/kept/../outside cannot be a file in /opt/ml/checkpoints" in found.failure

    def test_another_folder_may_hold_them(self, bench: Bench) -> None:
        elsewhere = Checkpoints(BUCKET, "", "saved/here")
        bench.executor.start(python("t", "(ml / 'saved/here/1').write_text('one')", checkpoints=elsewhere))
        bench.wait("t", *OVER)
        assert stored(bench, "1") == {"1": b"one"}


def saving(code: str) -> Task:
    return python("t", SAVE + code, checkpoints=KEPT)


def stored(bench: Bench, prefix: str = "kept/") -> dict[str, bytes]:
    found = bench.store.list(BUCKET, prefix=prefix, limit=1000).objects
    return {item.key: b"".join(bench.store.read(item)) for item in found}
