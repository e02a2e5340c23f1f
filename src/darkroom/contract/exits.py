"""Exit codes of a job, and what became of one that ended without any."""

OK = 0
CLIENT_ERROR = 2  # the user's data or settings; the reason stands in the failure file
ALGORITHM_ERROR = 1  # a fault of the algorithm
STOPPED = 143  # SIGTERM was honoured
