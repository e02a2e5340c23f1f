"""Why a task does not start."""


class StagingFailed(Exception):
    """The task cannot start: the message names the object, or the file, and the reason."""


class Stopped(Exception):
    """The task was stopped while its input was being laid out."""
