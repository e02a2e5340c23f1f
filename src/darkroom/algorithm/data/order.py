"""Which image stands where in which epoch: a pure function of seed and epoch, so that a run can be told again.

The seeds of the random draws that augment an image follow the same rule. It knows counts only, no image.
"""

import numpy as np
import numpy.typing as npt


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


def draws(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The random draws of one image in one epoch, whichever thread makes them."""
    return np.random.default_rng((seed, epoch, position))
