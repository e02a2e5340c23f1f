"""What a job's Environment may say to the algorithm: what SageMaker has no hyperparameter for.

``docs/reference/hyperparameters.md`` shows the table. It knows no torch.
"""

from collections.abc import Mapping

from darkroom.algorithm.failures import CustomerError

VARIABLES = {
    "DARKROOM_CHECKPOINTS": "1: the training is written to /opt/ml/checkpoints as it goes, and taken up there; a name: "
    "to that folder below /opt/ml. Set by the server for a job with CheckpointConfig.",
    "DARKROOM_CHECKPOINT_SECONDS": "Seconds between checkpoints within an epoch; 0: after every batch. Unset: 60, or "
    "as many as keep them below a hundredth of the time. The end of an epoch, and SIGTERM, write one too.",
    "DARKROOM_CLAMP_BATCH": "1: a mini_batch_size larger than the number of training images is lowered to it with a "
    "warning; otherwise it ends the job.",
    "DARKROOM_CLASSES": "Names of the classes, a JSON list. A file `classes.txt` in the train channel does the same.",
    "DARKROOM_PROCESSES": "Processes of the host that train together, each with a part of every batch; unless set, one "
    "for each GPU. Of several hosts each is one process.",
    "DARKROOM_SEED": "Number that first weights, orders and augmentation are drawn from; 0 unless set.",
    "DARKROOM_SPEEDOMETER": "Batches between progress lines; 20 unless set, as in SageMaker.",
    "DARKROOM_WEIGHTS": "Folder of pretrained weights; set by the server.",
    "DARKROOM_STRICT": "1: SageMaker's refusals and its arithmetic: num_training_samples is required and believed, "
    "images need a .lst and resize, transfer learning takes 224 x 224 pixels only, `network` is unknown, and the last "
    "batch of validation is filled with images that the next validation leaves out.",
    "OMP_NUM_THREADS": "Most processor threads to use; every core unless set.",
}


def number(environ: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    """A whole number that one of them says, or ``default``. Raises CustomerError."""
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        kind = f"a whole number, {least} or more" if least else "a whole number"
        raise CustomerError(f"The environment variable {name} must be {kind}, not {text!r}.")
    return int(text)
