"""What hosts make of channels that were shared out among them, before they train."""

import logging
import threading

import numpy as np
import pytest

from darkroom.algorithm.channels import open_channels
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.prepare import prepare
from darkroom.contract.layout import Layout
from tests.algorithm.jobs import gang, jpeg
from tests.algorithm.sharing import Threads, on_each

LOG = logging.getLogger("nobody")
VALUES = {"num_classes": "3", "num_layers": "20", "image_shape": "3,28,28", "mini_batch_size": "4"}
SHARDED = {"train": {"S3DistributionType": "ShardedByS3Key"}}


def opened(jobs, hosts):
    return open_channels(Layout(jobs[hosts.rank].base), LOG, hosts=hosts)


def prepared(jobs, hosts, strict=False, clamp=False, **given):
    return prepare(opened(jobs, hosts), parse(VALUES | given), 1, strict, clamp, LOG, None, hosts)


def photos(counts):
    """Records, so many on each host."""

    def fill(job, rank):
        job.config("inputdataconfig", SHARDED)
        job.records("train", [k % 3 for k in range(counts[rank])])

    return fill


def same(count):
    def fill(job, rank):
        images = [jpeg(k % 3, k) for k in range(count)]
        images[3], images[6] = b"no picture", b"none either"
        job.records("train", [k % 3 for k in range(count)], images)

    return fill


def test_hosts_with_the_same_images_find_the_broken_ones_together(tmp_path):
    jobs = gang(tmp_path, 2, same(23))
    first, second = on_each(2, lambda hosts: prepared(jobs, hosts))
    assert first.left_out == second.left_out == {"train": [3, 6]}
    assert (first.values.num_training_samples, first.batches) == (21, 2)  # 21 // (2 * 4)


def test_hosts_with_images_of_their_own_take_as_many_batches_as_the_one_with_the_fewest(tmp_path):
    jobs = gang(tmp_path, 3, photos((13, 30, 9)))
    for data, count in zip(on_each(3, lambda hosts: prepared(jobs, hosts)), (13, 30, 9), strict=True):
        assert (len(data.train), data.values.num_training_samples, data.batches) == (count, 52, 2)


def test_a_share_without_a_record_is_said_to_be_one(tmp_path):
    """ShardedByS3Key counts every object, and an .idx is one."""

    def fill(job, rank):
        job.config("inputdataconfig", SHARDED)
        job.records("train", [0, 1, 2] * 4)
        (job.channel("train") / ("train.idx" if rank == 0 else "train.rec")).unlink()

    jobs = gang(tmp_path, 2, fill)
    with pytest.raises(CustomerError, match=r"which holds 1 \.idx\. ShardedByS3Key gave other objects to other"):
        opened(jobs, Threads(1, 2, [], threading.Barrier(1)))
    assert len(opened(jobs, Threads(0, 2, [], threading.Barrier(1))).train) == 12


def test_a_batch_must_fit_every_host(tmp_path):
    jobs = gang(tmp_path, 2, photos((9, 30)))
    with pytest.raises(CustomerError, match=r"has 39 images, 9 for each of 2 hosts, and mini_batch_size is 16: use a"):
        on_each(2, lambda hosts: prepared(jobs, hosts, mini_batch_size="16"))
    data = on_each(2, lambda hosts: prepared(jobs, hosts, clamp=True, mini_batch_size="16"))
    assert [it.values.mini_batch_size for it in data] == [9, 9]


def test_strict_believes_the_number_given(tmp_path):
    jobs = gang(tmp_path, 2, same(23))
    data = on_each(2, lambda hosts: prepared(jobs, hosts, strict=True, num_training_samples="40"))
    assert [it.batches for it in data] == [5, 5]


def test_a_class_that_only_another_host_has_is_there(tmp_path, caplog):
    jobs = gang(
        tmp_path, 2, lambda job, rank: (job.config("inputdataconfig", SHARDED), job.records("train", [rank] * 9))
    )
    LOG.propagate = True
    on_each(2, lambda hosts: prepared(jobs, hosts))
    absent = [text for text in caplog.messages if "have no training image" in text]
    assert absent == ["1 of the 3 classes have no training image and cannot be learned: 2. Is num_classes right?"] * 2


def test_class_folders_are_numbered_by_the_names_of_all(tmp_path):
    def fill(job, rank):
        job.config("inputdataconfig", SHARDED)
        job.folders("train", [{"ape": 2, "cat": 3}, {"bee": 4}][rank])

    jobs = gang(tmp_path, 2, fill)
    first, second = on_each(2, lambda hosts: opened(jobs, hosts).train)
    assert first.classes == second.classes == ("ape", "bee", "cat")
    assert np.concatenate(first.labels).tolist() == [0, 0, 2, 2, 2]
    assert np.concatenate(second.labels).tolist() == [1, 1, 1, 1]


def listed(missing):
    paths = [f"{k}.jpg" for k in range(7)]

    def fill(job, rank):
        job.config("inputdataconfig", SHARDED)
        job.listed("train", paths, [(k % 3,) for k in range(7)])
        for k, path in enumerate(paths):
            if k % 2 != rank or k in missing:
                (job.channel("train") / path).unlink()

    return fill


def test_a_lst_of_all_images_serves_hosts_that_have_a_part_of_them(tmp_path):
    jobs = gang(tmp_path, 2, listed(()))
    first, second = on_each(2, lambda hosts: opened(jobs, hosts).train)
    assert first.paths == ["0.jpg", "2.jpg", "4.jpg", "6.jpg"]
    assert second.paths == ["1.jpg", "3.jpg", "5.jpg"]


def test_an_image_that_no_host_has_is_missing(tmp_path):
    jobs = gang(tmp_path, 2, listed((4,)))
    with pytest.raises(CustomerError, match=r"1 of the 7 images that train\.lst lists are not in the channel: 4\.jpg"):
        on_each(2, lambda hosts: opened(jobs, hosts))
