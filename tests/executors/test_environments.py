import sys
from pathlib import Path

from darkroom.executors.environments import ENVIRONMENTS, Environment, variables

SERVER = {
    "PATH": "/usr/bin",
    "HOME": "/home/ann",
    "CUDA_VISIBLE_DEVICES": "0",
    "LC_ALL": "de_DE.UTF-8",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "DARKROOM_S3_SECRET": "hunter2",
    "PYTHONPATH": "/somewhere",
}


def test_a_job_gets_what_says_where_things_are_and_no_secret() -> None:
    given = variables(Environment(Path("/env/bin/python")), SERVER)
    assert given["PATH"] == "/env/bin:/usr/bin"
    assert (given["HOME"], given["CUDA_VISIBLE_DEVICES"], given["LC_ALL"]) == ("/home/ann", "0", "de_DE.UTF-8")
    assert {"AWS_SECRET_ACCESS_KEY", "DARKROOM_S3_SECRET", "PYTHONPATH"}.isdisjoint(given)


def test_what_an_environment_says_counts_most() -> None:
    given = variables(Environment(Path("/env/bin/python"), {"LANG": "C", "MALLOC_TOP_PAD_": "0"}), SERVER)
    assert (given["LANG"], given["MALLOC_TOP_PAD_"]) == ("C", "0")


def test_the_builtin_one_is_ours() -> None:
    assert ENVIRONMENTS["builtin"].python == Path(sys.executable)
