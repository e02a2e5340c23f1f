"""Which image stands where in which epoch: a pure function of seed and epoch, so that a run can be told again.

The seeds of the random draws that augment an image follow the same rule. It knows counts only, no image.
"""

import numpy as np
import numpy.typing as npt

PREFETCHED = 17  # batches that MXNet makes ahead


def epoch_order(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Every position once, shuffled; each epoch another way."""
    return np.random.default_rng((seed, epoch)).permutation(samples)


def epoch_batches(samples: int, batch_size: int, batches: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Positions (batches, batch_size) of one training epoch.

    What does not fill a batch is left out. Asked for more than there is (strict mode believes num_training_samples
    rather than the files), the order begins again.
    """
    return np.resize(epoch_order(samples, seed, epoch), (batches, batch_size))


def in_turn(samples: int, batch_size: int) -> list[npt.NDArray[np.int64]]:
    """Every position once, in order, the last batch as short as it is: validation counts each image exactly once."""
    return np.split(np.arange(samples), range(batch_size, samples, batch_size))


def wrapped(samples: int, batch_size: int, epoch: int) -> npt.NDArray[np.int64]:
    """The positions that MXNet's iterator shows in the validation after ``epoch`` (from 0): whole batches only, the
    last one filled from the beginning, and what was taken there is left out of the next pass. (ImageRecordIter with
    round_batch, measured with 1.9.1; a set so small that all its batches are prefetched has gone round once before.)"""
    begin = 0
    for _ in range(epoch + (-(-samples // batch_size) <= PREFETCHED)):
        begin = (begin - samples) % batch_size % samples
    batches = -(-(samples - begin) // batch_size)
    return np.arange(begin, begin + batches * batch_size) % samples


def draws(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The random draws of one image in one epoch, whichever thread makes them."""
    return np.random.default_rng((seed, epoch, position))
