"""The hyperparameters of image classification, in one table: name, type, default, valid values, help.

The parser, the error texts, the printed defaults and ``docs/reference/hyperparameters.md`` read this table
(``python -m darkroom.algorithm.hyperparameters`` prints that page). It knows no data and no network.

Wording of the faults is SageMaker's own; what we add is a remedy, after its words.
"""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.rules import Choice, Flag, Integer, Pattern, Real, Rule
from darkroom.algorithm.variables import VARIABLES
from darkroom.networks.architecture import NETWORKS


def row(rule: Rule, default: Any = MISSING, help: str = "", applies_to: str = "", remedy: str = "") -> Any:
    """One line of the table. Without a default the hyperparameter is required."""
    return field(default=default, metadata={"rule": rule, "help": help, "applies_to": applies_to, "remedy": remedy})


MAX_SIDE = 8192  # pixels; no larger network could be served
IMAGENET_DEPTHS = (18, 34, 50, 101, 152, 200)
CIFAR_DEPTHS = (20, 32, 44, 56, 110)
# Names that SageMaker or its samples send and that mean nothing for training.
TOLERATED = {
    "_tuning_objective_metric": "",  # set by tuning jobs
    "model_prefix": "it has no effect: model files are always named image-classification-NNNN.params",
    "use_lr_scheduler": "it has no effect: set lr_scheduler_step to lower the learning rate during training",
}
OUR_OWN = {"network"}  # SageMaker knows no such hyperparameter


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The values of one job. Field names are the hyperparameters' names."""

    num_classes: int = row(Integer(), help="Number of classes. Labels are 0 … num_classes-1.")
    num_training_samples: int | None = row(
        Integer(),
        None,
        help="Number of training images. Optional here: they are counted. A wrong number is warned about and not used. "
        "(Required by SageMaker, which computes batches per epoch from it.)",
    )
    use_pretrained_model: int = row(
        Choice((0, 1)),
        0,
        help="1: start from ImageNet weights (`darkroom weights list`) of the network and num_layers asked for; its "
        "last layer starts anew.",
    )
    multi_label: int = row(Choice((0, 1)), 0, help="1: an image may have several classes; labels are rows of 0 and 1.")
    use_weighted_loss: int = row(
        Choice((0, 1)), 0, help="1: rare classes count more, by their share of the labels.", applies_to="multi_label 1"
    )
    num_layers: int = row(
        Choice(IMAGENET_DEPTHS + CIFAR_DEPTHS),
        152,
        help="Depth of the network. 20, 32, 44, 56 and 110 are thin networks for small images (28 or 32 pixels).",
    )
    network: str | None = row(
        Choice(tuple(NETWORKS)),
        None,
        help="Our own; SageMaker has only the first. preact_resnet: the documented ResNets. resnet: torchvision's "
        "and timm's. mobilenet_v2 and squeezenet1_1 have one size, whatever num_layers says. Unset: preact_resnet, or "
        "with use_pretrained_model, the ResNet that there are weights for, or with a model channel that model's.",
    )
    image_shape: str = row(
        Pattern("^(([1-9][0-9]*)(,[1-9][0-9]*)(,[1-9][0-9]*))$"),
        "3,224,224",
        help="What the network sees: channels (3 RGB, 1 grey), height, width.",
        remedy="Write channels, height and width, such as '3,224,224'.",
    )
    resize: int | None = row(
        Integer(),
        None,
        help="Resize images so that the shorter side has this many pixels, before the crop to image_shape. "
        "Unset: chosen from the images' own size (SageMaker requires it with image files).",
    )
    epochs: int = row(Integer(), 30, help="Passes over the training images.")
    mini_batch_size: int = row(Integer(), 32, help="Images per update.")
    learning_rate: float = row(Real(), 0.1, help="Initial learning rate.")
    lr_scheduler_factor: float = row(
        Real(),
        0.1,
        help="What the learning rate is multiplied by at each lr_scheduler_step.",
        applies_to="lr_scheduler_step",
    )
    lr_scheduler_step: str | None = row(
        Pattern("^(([1-9][0-9]*)(,[1-9][0-9]*)*)$"),
        None,
        help="Epochs after which the learning rate is lowered: '10,20'.",
        remedy="Write the epochs with commas between, such as '10,20'.",
    )
    optimizer: str = row(Choice(("sgd", "adam", "rmsprop", "nag")), "sgd", help="The update rule.")
    momentum: float = row(Real(), 0.9, help="Share of the last update that is kept.", applies_to="sgd, nag")
    weight_decay: float = row(Real(), 0.0001, help="L2 penalty of weights (not of biases).", applies_to="sgd, nag")
    beta_1: float = row(Real(), 0.9, help="Decay of the first moment.", applies_to="adam")
    beta_2: float = row(Real(), 0.999, help="Decay of the second moment.", applies_to="adam")
    eps: float = row(Real(), 1e-8, help="Keeps divisions away from zero.", applies_to="adam, rmsprop")
    gamma: float = row(Real(), 0.9, help="Decay of the average of squared gradients.", applies_to="rmsprop")
    augmentation_type: str | None = row(
        Choice(("crop", "crop_color", "crop_color_transform")),
        None,
        help="crop: random crop and mirror. crop_color: and random hue, saturation, lightness. "
        "crop_color_transform: and random rotation, shear and aspect ratio.",
    )
    checkpoint_frequency: int | None = row(
        Integer(), None, help="Keep the model of every so many epochs. Unset: only the best by validation accuracy."
    )
    top_k: int | None = row(Integer(2), None, help="Also log top-k accuracy during training.")
    kv_store: str | None = row(
        Choice(("dist_sync", "dist_async")),
        None,
        help="How several hosts share updates; no effect on one. Here always dist_sync: n hosts train as one with n "
        "times the mini_batch_size.",
    )
    precision_dtype: str = row(
        Choice(("float32", "float16")),
        "float32",
        help="float16: mixed precision (fp16 on a GPU, bf16 on a CPU); faster.",
    )
    early_stopping: bool = row(Flag(), False, help="Stop when validation accuracy no longer improves.")
    early_stopping_min_epochs: int = row(
        Integer(), 10, help="Epochs before stopping early.", applies_to="early_stopping"
    )
    early_stopping_patience: int = row(
        Integer(), 5, help="Epochs without improvement to wait for.", applies_to="early_stopping"
    )
    early_stopping_tolerance: float = row(
        Real(), 0.0, help="Smallest relative improvement that counts.", applies_to="early_stopping"
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = (int(part) for part in self.image_shape.split(","))
        return channels, height, width

    def applies(self, name: str) -> bool:
        """Whether a hyperparameter of one optimizer matters with the one chosen."""
        return self.optimizer in TABLE[name].metadata["applies_to"].split(", ")

    @property
    def lr_steps(self) -> tuple[int, ...]:
        """Epochs after which the learning rate drops, in order."""
        return tuple(int(part) for part in (self.lr_scheduler_step or "").split(",") if part)


TABLE: dict[str, Field[Any]] = {f.name: f for f in fields(Hyperparameters)}
# What the algorithm's packaged default file holds, in its order; other defaults are not printed.
PRINTED_DEFAULTS = (
    *("use_pretrained_model", "num_layers", "epochs", "learning_rate", "lr_scheduler_factor", "optimizer", "momentum"),
    *("weight_decay", "beta_1", "beta_2", "eps", "gamma", "mini_batch_size", "image_shape", "precision_dtype"),
)


def defaults() -> dict[str, Any]:
    """The defaults that the log's second line shows."""
    return {name: TABLE[name].default for name in PRINTED_DEFAULTS}


def parse(given: Mapping[str, str], strict: bool = False) -> Hyperparameters:
    """Hyperparameters from texts. Raises CustomerError with every fault at once.

    ``strict`` requires num_training_samples, as SageMaker does.
    """
    texts = {name: str(text).strip().strip('"') for name, text in given.items() if name not in TOLERATED}
    texts = {name: text for name, text in texts.items() if not (text in ("", "None") and _optional(name))}
    faults = _unexpected(texts, strict) + _missing(texts, strict)
    values = {}
    for name in texts.keys() & TABLE.keys():
        try:
            values[name] = TABLE[name].metadata["rule"].read(texts[name])
        except (ValueError, KeyError):
            faults.append(_invalid(name, texts[name]))
    if not faults:
        faults = _contradictions(parsed := Hyperparameters(**values))
    if faults:
        raise CustomerError(*sorted(faults))
    return parsed


def notices(given: Mapping[str, str]) -> list[str]:
    """What to tell about names that are accepted and do nothing."""
    return [f"The hyperparameter '{name}' is accepted; {TOLERATED[name]}." for name in given if TOLERATED.get(name)]


def _optional(name: str) -> bool:
    return name in TABLE and TABLE[name].default is None


def _unexpected(texts: Mapping[str, str], strict: bool) -> list[str]:
    names = [name for name in texts if name not in TABLE or (strict and name in OUR_OWN)]
    if not names:
        return []
    quoted = ", ".join(f"'{name}'" for name in names)
    verb = "was" if len(names) == 1 else "were"
    fault = f"Additional hyperparameters are not allowed ({quoted} {verb} unexpected) (caused by ValidationError)"
    meant = [close[0] for name in names if (close := difflib.get_close_matches(name, TABLE, 1, 0.7))]
    return [fault + (f". Did you mean {' and '.join(repr(name) for name in meant)}?" if meant else "")]


def _missing(texts: Mapping[str, str], strict: bool) -> list[str]:
    required = [name for name, f in TABLE.items() if f.default is MISSING]
    required += ["num_training_samples"] if strict else []
    names = ", ".join(f"'{name}'" for name in required if name not in texts)
    fault = f"No value(s) were specified for {names} which are required hyperparameter(s) (caused by ValidationError)"
    return [fault] if names else []


def _invalid(name: str, text: str) -> str:
    rule, remedy = TABLE[name].metadata["rule"], TABLE[name].metadata["remedy"]
    fault = (
        f"The value '{text}' is not valid for the '{name}' hyperparameter {rule.expects()} (caused by ValidationError)"
    )
    if isinstance(rule, Choice) and (close := difflib.get_close_matches(text, map(str, rule.values), 1, 0.6)):
        remedy = f"Did you mean '{close[0]}'?"
    return f"{fault}. {remedy}" if remedy else fault


def _contradictions(values: Hyperparameters) -> list[str]:
    """Faults of values that are fine one by one."""
    faults = []
    if values.shape[0] not in (1, 3):
        faults.append(
            f"image_shape '{values.image_shape}' asks for {values.shape[0]} channels; use 3 (RGB) or 1 (grey)."
        )
    if values.network and NETWORKS[values.network] and values.num_layers not in NETWORKS[values.network]:
        depths = ", ".join(map(str, NETWORKS[values.network]))
        faults.append(
            f"num_layers {values.num_layers} is no depth of the network '{values.network}'; use one of {depths}."
        )
    if max(values.shape[1:]) > MAX_SIDE:
        faults.append(f"image_shape '{values.image_shape}' is too large; height and width may have {MAX_SIDE} pixels.")
    if values.checkpoint_frequency is not None and values.checkpoint_frequency > values.epochs:
        faults.append(
            f"The value '{values.checkpoint_frequency}' is not valid for the 'checkpoint_frequency' hyperparameter "
            f"which expects one of the following: an integer between 1 and {values.epochs} (caused by ValidationError)"
            ". It must not exceed epochs, or no model would ever be kept."
        )
    if list(values.lr_steps) != sorted(set(values.lr_steps)):
        faults.append(f"lr_scheduler_step '{values.lr_scheduler_step}' must name increasing epochs, such as '10,20'.")
    if values.top_k is not None and values.top_k > values.num_classes:
        faults.append(f"top_k {values.top_k} is larger than num_classes {values.num_classes}; use at most num_classes.")
    return faults


def page() -> str:
    """docs/reference/hyperparameters.md."""
    lines = [
        "# Hyperparameters of image classification",
        "",
        "Generated by `python -m darkroom.algorithm.hyperparameters`; the parser reads the same table.",
        "Values are given as text, as SageMaker does. Unknown names are an error.",
        "",
        "| name | type | default | valid | applies to | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for name, f in TABLE.items():
        rule: Rule = f.metadata["rule"]
        default = "**required**" if f.default is MISSING else "–" if f.default is None else f"`{f.default}`"
        applies_to = f.metadata["applies_to"] or "always"
        lines.append(f"| `{name}` | {rule.kind} | {default} | {rule.valid()} | {applies_to} | {f.metadata['help']} |")
    lines += ["", "Accepted without effect: " + ", ".join(f"`{name}`" for name in TOLERATED) + ".", ""]
    lines += ["## Environment variables of a job", "", "| name | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
