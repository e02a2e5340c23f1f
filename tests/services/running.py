"""A server with jobs that end when a test does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.algorithm.jobs import Job
from tests.control.platform import Platform, client, serving
from tests.services.test_sagemaker import Live, until


@contextmanager
def running(platform: Platform, ledger: Path) -> Iterator[Live]:
    with serving(platform) as url:
        yield Live(platform, client(url), client(url, "sagemaker-runtime"), ledger)
        for task in platform.executor.tasks():
            platform.executor.stop(task, 0)
        until(platform.executor.tasks, lambda tasks: not tasks)
    platform.close()


@contextmanager
def with_colours(folder: Path, jobs: int) -> Iterator[Live]:
    """Photos to train on lie below photos/; so many jobs run at a time."""
    platform = Platform(folder, max_training_jobs=jobs)
    photos = Job(folder / "photos").colours(train=97, validation=25)
    for name in ("train", "validation"):
        platform.put(f"photos/{name}/{name}.rec", (photos.channel(name) / f"{name}.rec").read_bytes())
    with running(platform, folder / "ledger") as live:
        yield live
