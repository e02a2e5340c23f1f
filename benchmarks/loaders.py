"""One data pipeline in a process of its own: random-resized-crop 224 and mirror out of a .rec, in batches of 128.

``python loaders.py ENGINE FILE.rec THREADS`` prints the images/s of some epochs after one that warms up. Every engine
runs under whichever python has it, so this imports nothing at its top but the standard library.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

SIDE, BATCH, EPOCHS = 224, 128, 3
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def darkroom(rec: str, threads: int) -> Callable[[], Iterator[int]]:
    import logging

    import numpy as np

    from darkroom.algorithm.data import order
    from darkroom.algorithm.data.images import ImageSet, Memory
    from darkroom.algorithm.data.pipeline import batches
    from darkroom.algorithm.data.samples import RecordSamples
    from darkroom.algorithm.data.views import cut, random_resized_crop
    from darkroom.imaging.preprocess import Preprocess
    from darkroom.imaging.region import is_native

    if not is_native():
        logging.warning("the native part was not built")
    samples = RecordSamples([Path(rec)])
    images = ImageSet.of(samples, np.zeros(len(samples), np.int64), Preprocess(SIDE, SIDE).apply, Memory(0))
    epochs = iter(range(1000))

    def epoch() -> Iterator[int]:
        number = next(epochs)

        def fill(of: np.ndarray, out: np.ndarray) -> dict[int, Exception]:
            draws = (order.draws(0, number, k) for k in of.tolist())
            return cut(images, of, (partial(random_resized_crop, generator=one, area=AREA) for one in draws), out)

        orders = order.epoch_batches(len(samples), BATCH, len(samples) // BATCH, 0, number)
        for batch in batches(images, orders, fill, (SIDE, SIDE, 3), threads):
            yield len(batch.images)

    return epoch


def mxnet(rec: str, threads: int) -> Callable[[], Iterator[int]]:
    import mxnet as mx

    records = mx.io.ImageRecordIter(
        path_imgrec=rec,
        data_shape=(3, SIDE, SIDE),
        batch_size=BATCH,
        shuffle=True,
        random_resized_crop=True,
        min_random_area=AREA[0],
        max_random_area=AREA[1],
        min_aspect_ratio=RATIO[0],
        max_aspect_ratio=RATIO[1],
        rand_mirror=True,
        preprocess_threads=threads,
        round_batch=False,
        verbose=False,
    )

    def epoch() -> Iterator[int]:
        records.reset()
        for batch in records:
            batch.data[0].wait_to_read()
            yield BATCH - batch.pad

    return epoch


def torch(rec: str, threads: int) -> Callable[[], Iterator[int]]:
    import io
    import math
    import random

    import numpy as np
    from PIL import Image
    from torch import from_numpy
    from torch.utils.data import DataLoader, Dataset

    from darkroom.formats.recordio import RecordFile

    class Photos(Dataset):
        """As torchvision's RandomResizedCrop and RandomHorizontalFlip do it with Pillow; uint8 comes out."""

        def __init__(self) -> None:
            self.file = RecordFile(rec)

        def __len__(self) -> int:
            return len(self.file)

        def __getitem__(self, k: int):
            image = Image.open(io.BytesIO(self.file.image(k)[1])).convert("RGB")
            image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=_box(image.width, image.height))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            return from_numpy(np.array(image))

    def _box(width: int, height: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = random.uniform(*AREA) * width * height
            ratio = math.exp(random.uniform(*map(math.log, RATIO)))
            wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                left, top = random.randint(0, width - wide), random.randint(0, height - tall)
                return left, top, left + wide, top + tall
        return 0, 0, width, height

    loader = DataLoader(
        Photos(), BATCH, shuffle=True, num_workers=threads, drop_last=True, persistent_workers=True, prefetch_factor=2
    )

    def epoch() -> Iterator[int]:
        for batch in loader:
            yield len(batch)

    return epoch


def dali(rec: str, threads: int) -> Callable[[], Iterator[int]]:
    """The fastest of what was tried: no smoothing before it shrinks (ours has none), mirrored while it is resized. What
    makes no difference is left as it comes: deeper queues, the dynamic executor, the fast DCT."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None)
    def photos():
        jpegs, _ = fn.readers.mxnet(path=[rec], index_path=[rec[:-4] + ".idx"], random_shuffle=True)
        images = fn.decoders.image_random_crop(jpegs, random_area=list(AREA), random_aspect_ratio=list(RATIO))
        mirror = fn.random.coin_flip()
        size = {"resize_x": SIDE, "resize_y": SIDE, "crop": (SIDE, SIDE)}
        return fn.resize_crop_mirror(images, **size, mirror=mirror, interp_type=types.INTERP_LINEAR, antialias=False)

    pipeline = photos()
    pipeline.build()
    count = Path(rec[:-4] + ".idx").read_text().count("\n") // BATCH

    def epoch() -> Iterator[int]:
        for _ in range(count):
            yield len(pipeline.run()[0])

    return epoch


ENGINES = {"darkroom": darkroom, "mxnet": mxnet, "torch": torch, "dali": dali}


def main(engine: str, rec: str, threads: str) -> None:
    epoch = ENGINES[engine](rec, int(threads))
    sum(epoch())
    begin = time.perf_counter()
    images = sum(sum(epoch()) for _ in range(EPOCHS))
    print(images / (time.perf_counter() - begin))


if __name__ == "__main__":
    main(*sys.argv[1:])
