"""What every ``Executor`` must do, with real processes. Subclass, give a ``bench`` fixture, and pytest runs it all."""

import os
import tarfile
from pathlib import Path

import pytest

from darkroom.errors import Conflict, Invalid
from darkroom.executors.base import (
    Gang,
    Input,
    LogTarget,
    Observation,
    Phase,
    Task,
)
from darkroom.testing.executor_bench import (
    BUCKET,
    DEADLINE_S,
    GROUP,
    OVER,
    SERVE,
    WAIT,
    Bench,
    contents,
    gone,
    python,
    until,
)
from darkroom.testing.input_contract import InputContract


class ExecutorContract(InputContract):
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
