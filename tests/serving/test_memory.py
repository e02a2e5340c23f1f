import re
import subprocess
import sys

import pytest

from darkroom.serving import memory

SCRIPT = """
import time
from darkroom.serving import memory
memory.be_frugal()
print(memory.readiness())
held = [b"x" * ((1 << 16) + k % 2) for k in range(2000)]
print(memory.readiness())
del held
memory.give_back()
print(memory.readiness())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_process_knows_its_age_and_weight_and_gives_back_what_is_free():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    sentence = re.compile(r"(\d+\.\d\d) s after its start, with (\d+) MiB of memory")
    found = [sentence.fullmatch(line) for line in done.stdout.splitlines()]
    ages, sizes = zip(*((float(m[1]), int(m[2])) for m in found if m), strict=True)
    assert len(ages) == 3
    assert 0 <= ages[0] <= ages[2] < 60
    assert sizes[1] - sizes[0] > 100  # 125 MiB are held
    assert sizes[2] - sizes[0] < 20


def test_nothing_is_said_where_the_system_does_not(monkeypatch):
    monkeypatch.setattr(memory.Path, "read_text", lambda path: "")
    assert memory.readiness() == ""


USES_MUCH = """
import numpy, cv2
from darkroom.serving import memory
image = numpy.arange(30000, dtype=numpy.uint8).reshape(100, 100, 3)
first = cv2.resize(image, (37, 41)).tobytes()
before = int(memory.readiness().split()[6])
memory.give_back()
after = int(memory.readiness().split()[6])
print(before - after, cv2.resize(image, (37, 41)).tobytes() == first)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_program_text_that_is_not_used_is_given_back_and_found_again():
    done = subprocess.run([sys.executable, "-c", USES_MUCH], capture_output=True, text=True, check=True, timeout=60)
    saved, same = done.stdout.split()
    assert int(saved) >= 5
    assert same == "True"
