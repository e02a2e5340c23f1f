"""What a report says of a job beside its history: settings and counts, so that the page needs no job."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from darkroom.algorithm.hyperparameters import Hyperparameters

OPTIMIZER = ("momentum", "weight_decay", "beta_1", "beta_2", "eps", "gamma")


@dataclass(frozen=True)
class Facts:
    job: str  # its name; empty where nobody gave it one
    network: str
    start: str  # where the network's numbers came from
    train_images: int  # of all hosts, and so below
    validation_images: int | None
    hosts: int
    names: tuple[str, ...] | None  # of the classes
    values: Hyperparameters

    @property
    def classes(self) -> int:
        return self.values.num_classes

    @property
    def multi_label(self) -> bool:
        return bool(self.values.multi_label)

    def name(self, label: int) -> str:
        return self.names[label] if self.names else f"class {label}"


def settings(values: Hyperparameters) -> Sequence[tuple[str, str]]:
    """The hyperparameters that this training followed."""
    absent = [name for name in OPTIMIZER if not values.applies(name)]
    if not values.early_stopping:
        absent += [f"early_stopping_{part}" for part in ("min_epochs", "patience", "tolerance")]
    if values.lr_scheduler_step is None:
        absent.append("lr_scheduler_factor")
    given = ((f.name, getattr(values, f.name)) for f in fields(values))
    return [(name, str(value)) for name, value in given if value is not None and name not in absent]
