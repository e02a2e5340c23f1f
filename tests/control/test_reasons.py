from dataclasses import replace

import pytest

from darkroom.control.states import reasons
from darkroom.executors.base import Observation, Phase
from tests.control.values import ENDED_WELL

TRACEBACK = (
    "starting",
    "Traceback (most recent call last):",
    '  File "/opt/ml/code/train.py", line 3, in <module>',
    "    main()",
    '  File "/opt/ml/code/train.py", line 2, in main',
    "    return table['cat']",
    "KeyError: 'cat'",
)


def ended(code: int, failure: str = "") -> Observation:
    return replace(ENDED_WELL, exit_code=code, failure=failure)


@pytest.mark.parametrize(
    ("seen", "tail", "reason"),
    [
        (ended(2, "ClientError: bad data"), (), "ClientError: bad data"),
        (ended(2, "bad data"), (), "ClientError: bad data, exit code: 2"),
        (ended(1, "AlgorithmError: bug"), (), "AlgorithmError: bug"),
        (ended(1, "bug"), ("noise",), "AlgorithmError: bug, exit code: 1"),
        (
            ended(1),
            TRACEBACK,
            "AlgorithmError: KeyError: 'cat'\nFile \"/opt/ml/code/train.py\", line 2, in main, exit code: 1",
        ),
        (ended(3), ("a", "", "b"), "AlgorithmError: a\nb, exit code: 3"),
        (ended(1), ("[11/20/2026 12:00:00 INFO 140] it broke",), "AlgorithmError: it broke, exit code: 1"),
        (ended(127), (), "AlgorithmError: , exit code: 127"),
        (
            Observation(Phase.ENDED, failure="no key 'x' in bucket 'b'"),
            (),
            "ClientError: Data download failed: no key 'x' in bucket 'b'",
        ),
    ],
)
def test_the_real_cause_is_said(seen: Observation, tail: tuple[str, ...], reason: str) -> None:
    assert reasons.of_job(seen, tail) == reason


def test_signals_and_losses_are_the_platforms() -> None:
    assert reasons.of_job(ended(143), ("bye",)).startswith("InternalServerError: the process was ended by SIGTERM")
    assert reasons.of_job(ended(143, "why"), ()) == "AlgorithmError: why, exit code: 143"
    assert reasons.of_job(ended(-9), ("step 3",)).startswith("InternalServerError: the process was ended by SIGKILL")
    assert "step 3" in reasons.of_job(ended(-11), ("step 3",))
    assert "no exit record" in reasons.of_job(Observation(Phase.LOST), ())


def test_reasons_are_cut_where_aws_cuts_them_and_keep_the_exit_code() -> None:
    reason = reasons.of_job(ended(5, "x" * 5000), ())
    assert len(reason) == 1024
    assert reason.endswith("x, exit code: 5")
