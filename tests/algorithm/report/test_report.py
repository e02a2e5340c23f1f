"""The report of real jobs: its figures are counted again from the stored model and the log."""

import re
import signal

import numpy as np
import pytest

from darkroom.contract import exits
from darkroom.pages.page import figures_of
from darkroom.serving.eager import Eager
from tests.algorithm.jobs import ended, gang, jpeg, meeting

pytestmark = pytest.mark.slow


def page_of(job):
    return (job.base / "output" / "data" / "report.html").read_text()


def said(messages, pattern):
    return [float(found[1]) for message in messages if (found := re.search(pattern + r"=([\d.]+)", message))]


def test_its_figures_are_those_of_the_stored_model_and_of_the_log(job, run):
    labels = [k % 3 for k in range(24)]
    wrong = [jpeg((k + (k % 4 == 0)) % 3, 1000 + k) for k in range(24)]  # every fourth is labelled wrongly
    job.settings(epochs=3, lr_scheduler_step=2).records("train", [k % 3 for k in range(96)])
    job.records("validation", labels, wrong)
    code, messages = run(DARKROOM_CLASSES='["red", "green", "blue"]', TRAINING_JOB_NAME="three-colours")
    assert code == exits.OK
    figures = figures_of(page_of(job))
    assert [epoch["train_accuracy"] for epoch in figures["epochs"]] == pytest.approx(
        said(messages, "Train-accuracy"), abs=1e-6
    )
    accuracies = said(messages, "Validation-accuracy")
    assert [epoch["validation_accuracy"] for epoch in figures["epochs"]] == pytest.approx(accuracies, abs=1e-6)
    assert figures["stored_epoch"] == accuracies.index(max(accuracies)) + 1
    assert figures["accuracy"] == pytest.approx(max(accuracies), abs=1e-6)
    assert [epoch["learning_rate"] for epoch in figures["epochs"]] == pytest.approx([0.05, 0.05, 0.005])
    named = answers(job, wrong)
    assert [(row["name"], row["images"], row["right"], row["named"]) for row in figures["per_class"]] == [
        (name, 8, sum(n == c == t for n, t in zip(named, labels, strict=True)), named.count(c))
        for c, name in enumerate(("red", "green", "blue"))
    ]
    assert page_of(job).count("data:image/jpeg") == sum(n != t for n, t in zip(named, labels, strict=True)) > 0


def answers(job, images):
    """What the stored model says of each, by the code of the endpoint."""
    model = Eager.load(job.base / "model")
    return [int(model.infer(model.input.read(data, None)).argmax()) for data in images]


def test_several_labels_an_image(job, run):
    rows = [[float(k & 1 << bit > 0) for bit in range(3)] for k in range(48)]
    job.settings(multi_label=1, epochs=2).records("train", rows).records("validation", rows)
    code, _ = run()
    assert code == exits.OK
    figures = figures_of(page_of(job))
    assert figures["multi_label"]
    assert [row["images"] for row in figures["per_class"]] == [sum(column) for column in zip(*rows, strict=True)]
    model = Eager.load(job.base / "model")
    images = [jpeg(int(np.argmax(row)), k) for k, row in enumerate(rows)]
    said = np.concatenate([model.infer(model.input.read(data, None)) for data in images]) > 0.5
    assert [row["named"] for row in figures["per_class"]] == said.sum(0).tolist()
    assert [row["right"] for row in figures["per_class"]] == (said & (np.array(rows) > 0)).sum(0).tolist()
    assert "What is taken for what" not in page_of(job)


def test_without_validation_it_says_why_there_is_less(job, run):
    job.settings(epochs=2).colours(validation=0)
    code, _ = run()
    assert code == exits.OK
    text = page_of(job)
    assert "had no validation channel" in text
    assert "How it went" in text
    figures = figures_of(text)
    assert [epoch["validation_loss"] for epoch in figures["epochs"]] == [None, None]
    assert figures["stored_epoch"] == 2
    assert figures["per_class"] == []


def test_a_report_that_cannot_be_written_is_a_warning(job, run):
    job.settings().colours()
    (job.base / "output").mkdir(parents=True)
    (job.base / "output" / "data").write_text("a file where the folder should be")
    code, messages = run()
    assert code == exits.OK
    warnings = [message for message in messages if message.startswith("WARNING report.html")]
    assert len(warnings) == 1
    assert "FileExistsError" in warnings[0]


def test_a_training_that_diverged_is_reported_with_gaps(job, run):
    job.settings(epochs=2, optimizer="rmsprop", gamma=1, eps=0).colours()  # divides by zero
    code, messages = run()
    assert code == exits.OK
    assert any(message.startswith("WARNING Training diverged") for message in messages)
    assert figures_of(page_of(job))["epochs"][-1]["train_loss"] is None
    assert "not a number" in page_of(job)


def test_several_hosts_leave_one_report_of_all_their_answers(tmp_path):
    def fill(job, rank):
        job.settings(epochs=2).colours(train=64)

    jobs = gang(tmp_path, 2, fill)
    with meeting() as place:
        codes, outputs = ended([job.start(**place) for job in jobs])
    assert codes == [exits.OK] * 2, outputs
    assert not (jobs[1].base / "output" / "data" / "report.html").exists()
    figures = figures_of(page_of(jobs[0]))
    assert [row["images"] for row in figures["per_class"]] == [8, 8, 8]
    right = sum(row["right"] for row in figures["per_class"])
    assert right == pytest.approx(24 * figures["accuracy"])
    assert "2; the training loss is that of the first one" in page_of(jobs[0])


SHARDED = {channel: {"S3DistributionType": "ShardedByS3Key"} for channel in ("train", "validation")}


def test_hosts_with_images_of_their_own_leave_a_report_of_all_of_them(tmp_path):
    shares = [[k % 3 for k in range(10)], [2, 2, 1, 0, 2]]
    images = [[jpeg((k + (k % 3 == 0)) % 3, 1000 + k) for k in range(10)], [jpeg(k % 3, 2000 + k) for k in range(5)]]

    def fill(job, rank):
        job.settings(epochs=2, learning_rate=0.02).config("inputdataconfig", SHARDED)
        job.records("train", [k % 3 for k in range(48 + 16 * rank)])
        job.records("validation", shares[rank], images[rank], name=f"part-{rank}")

    jobs = gang(tmp_path, 2, fill)
    pages = []
    for _ in range(2):  # the second time from the checkpoint of the end, where nothing is left to validate
        with meeting() as place:
            codes, outputs = ended([job.start(**place, DARKROOM_CHECKPOINTS="1") for job in jobs])
        assert codes == [exits.OK] * 2, outputs
        pages.append(page_of(jobs[0]))
        (jobs[0].base / "output" / "data" / "report.html").unlink()
    page, again = pages
    assert "Resuming from the checkpoint" in outputs[0]
    figures = figures_of(page)
    assert figures_of(again) == figures
    assert figures["images"] == {"train": 112, "validation": 15}
    labels, every = [*shares[0], *shares[1]], [*images[0], *images[1]]
    named = answers(jobs[0], every)
    assert [(row["images"], row["right"], row["named"]) for row in figures["per_class"]] == [
        (labels.count(c), sum(n == c == t for n, t in zip(named, labels, strict=True)), named.count(c))
        for c in range(3)
    ]
    places = [(rank, k) for rank, share in enumerate(shares) for k in range(len(share))]
    wrong = [place for place, n, t in zip(places, named, labels, strict=True) if n != t]
    assert {rank for rank, _ in wrong} == {0, 1}
    for text in pages:
        shown = re.findall(r"record (\d+) of part-(\d)\.rec \(id \d+\)</span>", text)
        assert sorted((int(rank), int(k)) for k, rank in shown) == wrong
        assert text.count("data:image/jpeg") == len(wrong)
    stored = figures["epochs"][figures["stored_epoch"] - 1]
    model = Eager.load(jobs[0].base / "model")
    sure = [model.infer(model.input.read(data, None)).ravel()[t] for data, t in zip(every, labels, strict=True)]
    assert stored["validation_loss"] == pytest.approx(-np.log(sure).mean(), rel=1e-3)


def test_a_job_that_is_stopped_reports_what_it_kept(job):
    job.settings(epochs=1000).colours()
    with job.start() as process:
        for line in process.stdout:
            if "Epoch[1] Validation-accuracy" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
    assert process.returncode == exits.STOPPED, rest
    figures = figures_of(page_of(job))
    assert len(figures["epochs"]) >= 2
    assert figures["stored_epoch"] is not None
    assert sum(row["images"] for row in figures["per_class"]) == 24
    assert "Stopped by request" in page_of(job)
