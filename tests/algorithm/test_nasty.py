"""Odd, damaged and hostile files as training images: none ends the job, and each that cannot be read is named."""

import os
import re
import shutil
from pathlib import Path

import pytest

from darkroom.contract import exits
from tests.algorithm.jobs import jpeg

NASTY = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data" / "nasty"


@pytest.mark.skipif(not NASTY.is_dir(), reason="the nasty files are not at hand (DARKROOM_SHARED)")
def test_nasty_files_train_or_are_named(job, run):
    job.settings()
    files = sorted(path for path in NASTY.iterdir() if path.suffix != ".csv")
    lines = [f"{k}\t{k % 3}\t{path.name}\n" for k, path in enumerate(files)]
    for path in files:
        shutil.copy(path, job.channel("train"))
    for k in range(48):
        (job.channel("train") / f"{k}.jpg").write_bytes(jpeg(k % 3, k))
        lines.append(f"{100 + k}\t{k % 3}\t{k}.jpg\n")
    (job.channel("train_lst") / "train.lst").write_text("".join(lines))
    code, messages = run()
    assert code == exits.OK
    (count,) = [int(found[1]) for text in messages if (found := re.match(r"WARNING (\d+) of the \d+ images", text))]
    named = [text for text in messages if re.match(r"WARNING \S+ \(line \d+ of train\.lst\): .{10}", text)]
    assert len(named) == count > 0
    assert f"num_training_samples: {len(lines) - count}" in messages
