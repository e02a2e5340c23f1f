"""Whether a job whose task was ended from outside is started again, and what is told of it. Pure.

A program that failed by itself would fail again; one whose process or machine went down goes on from its checkpoints.
"""

from darkroom.control.resources import Resource
from darkroom.executors.base import Observation, Phase

WITH_CHECKPOINTS = 5  # attempts where the request has checkpoints and names no number


def allowed(job: Resource, seen: Observation) -> bool:
    return interrupted(seen) and int(job.observed.get("attempt", 0)) < most(job)


def interrupted(seen: Observation) -> bool:
    """Lost, or ended by a signal, which here did not come from the server."""
    return seen.phase is Phase.LOST or seen.signal is not None


def most(job: Resource) -> int:
    """How often: RetryStrategy's number, else a few times for a job with checkpoints, else never."""
    given = job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts")
    if given is not None:
        return int(given)
    return WITH_CHECKPOINTS if job.request.get("CheckpointConfig") else 0


def told(job: Resource, host: str, seen: Observation) -> tuple[str, str]:
    """Status and message of the event."""
    who = f"host {host}" if host else "the process"
    how = "is gone" if seen.phase is Phase.LOST else f"was ended by signal {seen.signal}"
    whence = "from its last checkpoint" if job.request.get("CheckpointConfig") else "from the beginning"
    status = "Interrupted" if job.request.get("EnableManagedSpotTraining") else "Restarting"
    attempt = int(job.observed.get("attempt", 0)) + 1
    return status, f"Restarting the training job {whence}: {who} {how} (attempt {attempt + 1} of {most(job) + 1})"
