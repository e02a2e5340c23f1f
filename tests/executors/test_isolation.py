"""A job's own /opt/ml, and what the host sees of it: nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Invalid
from darkroom.executors import isolation, records
from darkroom.executors.base import Input
from darkroom.executors.local import LocalExecutor
from darkroom.testing.executor_bench import BUCKET, WAIT, python
from tests.executors.bench import LocalBench, namespace_refused


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LocalBench]:
    if refused := namespace_refused():
        pytest.skip(f"no mount namespace on this machine: {refused}")
    bench = LocalBench(tmp_path, "namespace")
    yield bench
    bench.close()


def isolated_as(bench: LocalBench) -> str:
    return str((records.read(bench.folder("t"), records.LAUNCHED) or {})["isolation"])


def test_the_host_sees_neither_mounts_nor_files(bench: LocalBench) -> None:
    bench.executor.start(python("t", "print(ml, 'SAGEMAKER_BASE_DIR' in os.environ)\n" + WAIT))
    bench.wait_line("t", "running")
    assert bench.lines("t")[0] == "/opt/ml False"
    assert "/opt/ml" not in Path("/proc/self/mountinfo").read_text()
    assert os.listdir("/opt/ml") == []


def test_two_jobs_have_one_each(bench: LocalBench) -> None:
    for name in ("t", "u"):
        bench.executor.start(
            python(name, f"(ml / 'model/{name}').write_text(''); print(os.listdir('/opt/ml/model'))\n{WAIT}")
        )
    for name in ("t", "u"):
        bench.wait_line(name, "running")
        assert bench.lines(name)[0] == f"['{name}']"


def test_a_job_may_write_into_its_input_and_nobody_else_sees_it(bench: LocalBench) -> None:
    bench.put("set/a.jpg", b"stored")
    code = (
        "data = ml / 'input/data/train'\n"
        "(data / 'a.jpg').write_bytes(b'resized'); (data / 'a.rec').write_bytes(b'new')\n"
        "print(sorted((p.name, p.read_text()) for p in data.iterdir()))"
    )
    found = bench.run(code, inputs=(Input("train", BUCKET, "set/"),))
    if found.exit_code != 0:
        pytest.skip("no overlay file system here: input is read-only")
    assert bench.lines("t") == ["[('a.jpg', 'resized'), ('a.rec', 'new')]"]
    assert b"".join(bench.store.read(bench.store.get(BUCKET, "set/a.jpg"))) == b"stored"
    bench.executor.forget("t")
    assert not bench.folder("t").exists()


def test_input_is_read_only_where_there_is_no_overlay(bench: LocalBench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("stored")
    code = (
        f"from darkroom.executors import kernel\nkernel.enter_own_mounts()\nkernel.bind_read_only({str(tmp_path)!r})\n"
        f"open({str(tmp_path / 'a')!r}, 'w')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Read-only file system" in done.stderr
    assert (tmp_path / "a").read_text() == "stored"


def test_auto_takes_the_namespace_where_there_is_one(bench: LocalBench, tmp_path: Path) -> None:
    bench.executor.close()
    bench.executor = LocalExecutor(tmp_path / "run", bench.store, bench.logs)
    bench.run("pass")
    assert isolated_as(bench) == isolation.NAMESPACE


REFUSED = """
import sys
from darkroom.executors import isolation, kernel
def refuse():
    raise OSError(1, "unshare: Operation not permitted")
kernel.enter_own_mounts = refuse
print(isolation.isolate("auto", sys.argv[1], sys.argv[1]))
try:
    isolation.isolate("namespace", sys.argv[1], sys.argv[1])
except isolation.Refused as refused:
    print(refused)
"""


def test_where_the_kernel_refuses_auto_takes_a_folder_and_namespace_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert done[0] == "folder"
    assert done[1].startswith("this machine does not allow a mount namespace on /opt/ml (")
    assert done[1].endswith("create an empty folder /opt/ml, or set DARKROOM_ISOLATION=folder")


def test_a_task_that_insists_on_a_namespace_ends_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = LocalBench(tmp_path, "namespace")
    (tmp_path / "sitecustomize.py").write_text(
        "from darkroom.executors import isolation\nisolation.refusal = lambda base: 'Operation not permitted'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = bench.run("print('ran')")
    assert found.exit_code is None
    assert "does not allow a mount namespace on /opt/ml (Operation not permitted)" in found.failure
    assert bench.lines("t") == [f"darkroom: {found.failure}"]
    bench.close()


def test_a_plain_user_gets_a_namespace_too_or_a_folder(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user here; the other tests ran as a plain user")
    base = tmp_path / "ml"
    (base / "input/data").mkdir(parents=True)
    for folder in (*tmp_path.parents, tmp_path):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    os.chown(tmp_path, 65534, 65534)
    os.chown(base, 65534, 65534)
    code = (
        "import ctypes, os\nfrom darkroom.executors import isolation\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"  # PR_SET_DUMPABLE: as after an exec, /proc/self is the user's own
        f"print(isolation.isolate('auto', {str(base)!r}, {str(tmp_path / 'scratch')!r}))\n"
        "print(os.geteuid(), os.access('/opt/ml/input', os.F_OK))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() in (["namespace", "65534", "True"], ["folder", "65534", "False"])


def test_an_unknown_isolation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="use one of auto, namespace, folder"):
        LocalExecutor(tmp_path, None, None, isolation="docker")  # type: ignore[arg-type]
