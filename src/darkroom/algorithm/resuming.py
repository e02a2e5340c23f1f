"""How all processes of a job take up the training of an earlier attempt: the first one reads, the others are told.

Knows no file format and decides nothing of when checkpoints are written.
"""

from darkroom.algorithm import course as courses
from darkroom.algorithm.course import Course
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import Hosts
from darkroom.algorithm.learner import Learner
from darkroom.algorithm.prepare import LeftOut
from darkroom.algorithm.recovery import Recovery
from darkroom.algorithm.report.history import History
from darkroom.algorithm.snapshots import Snapshot


def find(recovery: Recovery, hosts: Hosts) -> Snapshot | None:
    """What there is to go on from; only the first process has the tensors."""
    own = recovery.find()
    told = hosts.everyone(own and own.header)[0]
    return own or (told and Snapshot(**told, tensors={}))


def left_out(snapshot: Snapshot, hosts: Hosts) -> LeftOut:
    """The images that this process could not read. Raises CustomerError."""
    try:
        return courses.left_out(snapshot.progress, hosts.rank)
    except ValueError as error:
        raise _unusable(snapshot, str(error)) from error


def go_on(
    snapshot: Snapshot,
    learner: Learner,
    course: Course,
    history: History,
    hosts: Hosts,
    images: int,
    answered: int,
) -> None:
    """Put learner, course and history where the snapshot was taken; ``images``: of validation, of this process, and
    ``answered`` of all. Raises CustomerError."""
    tensors = dict(snapshot.tensors)
    told = {name: tensors.pop(name) for name in courses.TENSORS if name in tensors}
    fault = ""
    try:
        if hosts.rank == 0:
            learner.restore(tensors)
        courses.restore(course, learner, history, snapshot.progress, told, hosts.rank, images, answered)
    except ValueError as error:
        fault = str(error)
    for reason in filter(None, hosts.everyone(fault)):
        raise _unusable(snapshot, reason)
    course.epoch, course.batch = snapshot.epoch, snapshot.batch


def agree(learner: Learner, hosts: Hosts) -> None:
    """Every process has the state of the first one."""
    state = learner.state()
    hosts.spread(list(state.values()))
    learner.restore(state)


def _unusable(snapshot: Snapshot, reason: str) -> CustomerError:
    return CustomerError(
        f"The checkpoint {snapshot.name} cannot be gone on from: {reason}. Take it away from CheckpointConfig.S3Uri to "
        "begin anew."
    )
