"""Jobs of several hosts through boto3: what each host finds, how they meet, and what becomes of all when one dies."""

import json
import os
import signal
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from darkroom.executors.leftovers import marked
from tests.control.platform import BUCKET, TEST_IMAGE, Platform, channel, training_request
from tests.services.running import running
from tests.services.test_sagemaker import Live, until

pytestmark = pytest.mark.slow

WORLD = """
import json, os, signal, sys, time
from pathlib import Path
ml = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
config = json.loads((ml / "input/config/resourceconfig.json").read_text())
host, hosts = config["current_host"], config["hosts"]
def rest():
    print("resting", flush=True)
    while True:
        signal.pause()
"""
SUM = """
import torch, torch.distributed as dist
dist.init_process_group("gloo", rank=hosts.index(host), world_size=len(hosts))
total = torch.tensor([float(hosts.index(host) + 1)])
dist.all_reduce(total)
print("sum", total.item(), flush=True)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = tmp_path_factory.mktemp("home")
    platform = Platform(home, max_training_jobs=3)
    for key in "abc":
        platform.put(f"train/{key}", key.encode())
    with running(platform, home / "ledger") as live:
        yield live


def start(live: Live, name: str, hosts: int, code: str, **changes: Any) -> None:
    program = live.platform.settings.home / f"{name}.py"
    program.write_text(WORLD + code)
    algorithm = {
        "TrainingImage": TEST_IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["{python}", str(program)],
    }
    resources = {"InstanceCount": hosts, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    request = {"AlgorithmSpecification": algorithm, "ResourceConfig": resources} | changes
    live.sagemaker.create_training_job(**training_request(name, **request))


def train(live: Live, name: str, hosts: int, code: str, **changes: Any) -> dict[str, Any]:
    start(live, name, hosts, code, **changes)
    return live.ended(name)


def lines(live: Live, name: str) -> dict[str, list[str]]:
    """By host."""
    streams, _ = live.platform.logs.streams("/aws/sagemaker/TrainingJobs", prefix=f"{name}/")
    found = {}
    for stream in streams:
        page = live.platform.logs.events("/aws/sagemaker/TrainingJobs", stream.name, from_head=True)
        found[stream.name.split("/")[1].rpartition("-")[0]] = [event.message for event in page.events]
    return found


def kill_host(live: Live, name: str, host: int, attempt: int = 0, by: int = signal.SIGKILL) -> None:
    """The end of a host's command from outside, as the system does it when memory runs out."""
    which = f"-a{attempt}-h{host}-" if host > 1 or attempt else ""
    tasks = [task for task in live.platform.executor.tasks() if task.startswith(f"{name}-")]
    (task,) = [task for task in tasks if (which in task if which else "-h" not in task)]
    for pid in marked(str(live.platform.settings.home / "tasks" / task)):
        os.kill(pid, by)


def model(live: Live, name: str) -> dict[str, bytes]:
    item = live.platform.objects.get(BUCKET, f"models/{name}/output/model.tar.gz")
    with tarfile.open(fileobj=BytesIO(b"".join(live.platform.objects.read(item)))) as tar:
        return {m.name: file.read() for m in tar if (file := tar.extractfile(m))}


def test_every_host_has_its_own_world_its_shard_and_its_log(live: Live) -> None:
    sharded = channel("train", f"s3://{BUCKET}/train/")
    sharded["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    show = (
        "print(json.dumps([config, sorted(p.name for p in (ml / 'input/data/train').iterdir())]))\n"
        "print(os.environ['MASTER_ADDR'], os.environ['MASTER_PORT'])\n"
        "(ml / 'model' / 'whose').write_text(host)\n"
    )
    job = train(live, "world", 3, show, InputDataConfig=[sharded])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    told = lines(live, "world")
    assert sorted(told) == ["algo-1", "algo-2", "algo-3"]
    for number, key in enumerate("abc", 1):
        config, files = json.loads(told[f"algo-{number}"][0])
        assert (config["current_host"], config["hosts"]) == (f"algo-{number}", ["algo-1", "algo-2", "algo-3"])
        assert files == [key]
    assert len({host[1] for host in told.values()}) == 1
    assert model(live, "world") == {"whose": b"algo-1"}
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1


def test_hosts_form_a_process_group(live: Live) -> None:
    job = train(live, "group", 2, SUM)
    assert job["TrainingJobStatus"] == "Completed", lines(live, "group")
    assert lines(live, "group") == {"algo-1": ["sum 3.0"], "algo-2": ["sum 3.0"]}


def test_one_hosts_failure_ends_all_and_is_named(live: Live) -> None:
    fail = "(ml / 'output/failure').write_text('out of ideas'); sys.exit(1)"
    job = train(live, "fault", 3, f"if host == 'algo-2':\n    {fail}\nrest()")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: algo-2: out of ideas, exit code: 1"


def test_a_killed_host_ends_all_and_is_named(live: Live) -> None:
    start(live, "killed", 2, "rest()")
    until(lambda: lines(live, "killed"), lambda told: [*told.values()] == [["resting"]] * 2)
    kill_host(live, "killed", 2)
    job = live.ended("killed")
    assert job["FailureReason"].startswith("InternalServerError: algo-2: the process was ended by SIGKILL")


def test_a_gang_whose_host_was_killed_starts_again_where_it_may(live: Live, tmp_path: Path) -> None:
    once = (
        f"first = Path({str(tmp_path)!r}) / host\nif not first.exists():\n    first.touch(); rest()\nprint('again')\n"
    )
    start(live, "again", 2, once + SUM, RetryStrategy={"MaximumRetryAttempts": 1})
    until(lambda: lines(live, "again"), lambda told: [*told.values()] == [["resting"]] * 2)
    kill_host(live, "again", 2)
    job = live.ended("again")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [*lines(live, "again").values()] == [["resting", "again", "sum 3.0"]] * 2
    told = [(t["Status"], t["StatusMessage"]) for t in job["SecondaryStatusTransitions"]]
    assert ("Restarting", told[3][1]) == told[3]
    assert "host algo-2 was ended by signal 9" in told[3][1]


def test_stop_reaches_every_host(live: Live) -> None:
    save = "signal.signal(signal.SIGTERM, lambda *_: ((ml / 'model/kept').write_text(host), sys.exit(143)))\nrest()"
    start(live, "stopped", 2, save)
    until(lambda: lines(live, "stopped"), lambda told: [*told.values()] == [["resting"]] * 2)
    live.sagemaker.stop_training_job(TrainingJobName="stopped")
    assert live.ended("stopped")["TrainingJobStatus"] == "Stopped"
    assert model(live, "stopped") == {"kept": b"algo-1"}


def test_a_gang_waits_until_there_is_room_for_all_of_it(live: Live) -> None:
    start(live, "holder", 2, "rest()")
    until(lambda: lines(live, "holder"), lambda told: [*told.values()] == [["resting"]] * 2)
    start(live, "waiter", 2, "pass")
    start(live, "latecomer", 1, "pass")
    for name in ("waiter", "latecomer"):
        live.secondary(name, "Pending")
    live.sagemaker.stop_training_job(TrainingJobName="holder")
    assert live.ended("waiter")["TrainingJobStatus"] == live.ended("latecomer")["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told-to-end"])
def test_a_job_that_was_ended_from_outside_goes_on_from_its_checkpoints(live: Live, by: signal.Signals) -> None:
    """Of one host, and of two: what was saved before is there again, and the model is that of a whole run. SIGTERM is
    honoured, as the built-in algorithm does it, when the machine goes down in order."""
    code = (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "steps = ml / 'checkpoints' / f'{host}.txt'\n"
        "done = int(steps.read_text()) if steps.exists() else 0\n"
        "print('from', done, os.environ['DARKROOM_CHECKPOINTS'], flush=True)\n"
        "steps.write_text(str(done + 1))\n"
        "if done < 1: rest()\n"
        "(ml / 'model' / 'steps').write_text(str(done))\n"
    )
    for name, hosts in ((f"single-{by.name}", 1), (f"pair-{by.name}", 2)):
        spot = {"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/kept/{name}"}}
        start(live, name, hosts, code, **spot)
        until(
            lambda name=name: lines(live, name),  # type: ignore[misc]
            lambda told, hosts=hosts: [*told.values()] == [["from 0 1", "resting"]] * hosts,  # type: ignore[misc]
        )
        kill_host(live, name, hosts, by=by)
        job = live.ended(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert [*lines(live, name).values()] == [["from 0 1", "resting", "from 1 1"]] * hosts
        assert model(live, name) == {"steps": b"1"}
        assert [t["Status"] for t in job["SecondaryStatusTransitions"]].count("Interrupted") == 1
        assert job["CheckpointConfig"] == spot["CheckpointConfig"]


def test_the_page_that_a_job_leaves_lies_beside_its_model(live: Live) -> None:
    page = "<title>photos</title>"
    leave = f"(ml / 'output/data').mkdir(exist_ok=True); (ml / 'output/data/report.html').write_text({page!r})"
    job = train(live, "page", 1, leave)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    item = live.platform.objects.get(BUCKET, "models/page/output/report.html")
    assert b"".join(live.platform.objects.read(item)) == page.encode()
    assert item.head["ContentType"] == "text/html; charset=utf-8"
