import json
import os
import shutil
import subprocess

import pytest

from darkroom.cli.lifecycle import exports

NASTY = {"PLAIN": "http://127.0.0.1:9460", "NASTY": "a b'c\"d$HOME`id`\\n;*~", "EMPTY": ""}


def shell_reads(program: str, lines: list[str]) -> dict[str, str]:
    script = "\n".join(lines) + f"\n{os.sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"  # type: ignore[attr-defined]
    environ = {"PATH": os.environ["PATH"], "HOME": "/", "GONE": "x"}
    done = subprocess.run([program, "-c", script], env=environ, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("program", "shell"), [("sh", "sh"), ("bash", "sh"), ("fish", "fish")])
def test_a_shell_reads_back_exactly_what_was_meant(program: str, shell: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    seen = shell_reads(program, exports(NASTY, ["GONE"], shell))
    assert {name: seen.get(name) for name in NASTY} == NASTY
    assert "GONE" not in seen


def test_fish_has_a_syntax_of_its_own() -> None:
    assert exports({"A": "it's \\ here"}, ["GONE"], "fish") == [
        "set --erase GONE;",
        r"set --global --export A 'it\'s \\ here';",
    ]
