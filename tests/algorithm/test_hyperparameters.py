"""The table of hyperparameters: values, defaults, SageMaker's own words for every fault, and the page made of it."""

from pathlib import Path

import pytest

from darkroom.algorithm import hyperparameters
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import TABLE, parse

GOOD = {"num_classes": "10"}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hyperparameters.md"


def faults(**given: str) -> tuple[str, ...]:
    with pytest.raises(CustomerError) as caught:
        parse(GOOD | given)
    return caught.value.messages


def fault(**given: str) -> str:
    (message,) = faults(**given)
    return message


def test_what_the_first_notebook_sends():
    values = parse(
        {
            "num_layers": "18",
            "image_shape": "3,224,224",
            "num_classes": "257",
            "num_training_samples": "15420",
            "mini_batch_size": "128",
            "epochs": "5",
            "learning_rate": "0.01",
            "top_k": "2",
            "precision_dtype": "float32",
        }
    )
    assert (values.num_layers, values.shape, values.num_classes, values.top_k) == (18, (3, 224, 224), 257, 2)
    assert (values.num_training_samples, values.mini_batch_size, values.epochs) == (15420, 128, 5)
    assert values.learning_rate == 0.01


def test_documented_defaults():
    values = parse(GOOD)
    assert (values.num_layers, values.epochs, values.mini_batch_size, values.learning_rate) == (152, 30, 32, 0.1)
    assert (values.optimizer, values.momentum, values.weight_decay) == ("sgd", 0.9, 0.0001)
    assert (values.beta_1, values.beta_2, values.eps, values.gamma) == (0.9, 0.999, 1e-8, 0.9)
    assert (values.early_stopping, values.early_stopping_min_epochs, values.early_stopping_patience) == (False, 10, 5)
    assert (
        values.augmentation_type is values.checkpoint_frequency is values.top_k is values.num_training_samples is None
    )
    assert values.lr_steps == ()


def test_wrong_choice_is_said_as_sagemaker_says_it():
    assert fault(augmentation_type="crop_color_transformation") == (
        "The value 'crop_color_transformation' is not valid for the 'augmentation_type' hyperparameter which accepts "
        "one of the following: 'crop', 'crop_color', 'crop_color_transform' (caused by ValidationError). "
        "Did you mean 'crop_color_transform'?"
    )


def test_wrong_pattern():
    assert fault(image_shape="224x224").startswith(
        "The value '224x224' is not valid for the 'image_shape' hyperparameter which expects one of the following: a "
        "string which matches the pattern '^(([1-9][0-9]*)(,[1-9][0-9]*)(,[1-9][0-9]*))$' (caused by ValidationError)"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("epochs", "0"),
        ("epochs", "-3"),
        ("epochs", "2.5"),
        ("epochs", "1_000"),
        ("mini_batch_size", "many"),
        ("num_classes", ""),
        ("learning_rate", "1.01"),
        ("learning_rate", "nan"),
        ("momentum", "-0.1"),
        ("top_k", "1"),
        ("num_layers", "19"),
        ("optimizer", "SGD"),
        ("multi_label", "2"),
        ("early_stopping", "maybe"),
        ("lr_scheduler_step", "10;20"),
        ("precision_dtype", "bfloat16"),
    ],
)
def test_value_out_of_range_names_value_and_hyperparameter(name, text):
    assert fault(**{name: text}).startswith(f"The value '{text}' is not valid for the '{name}' hyperparameter which ")


def test_unknown_name_gets_a_suggestion():
    assert fault(**{"augmentation type": "crop"}) == (
        "Additional hyperparameters are not allowed ('augmentation type' was unexpected) (caused by ValidationError). "
        "Did you mean 'augmentation_type'?"
    )
    assert "('a', 'b' were unexpected)" in fault(a="1", b="2")


def test_missing_required():
    with pytest.raises(CustomerError, match="No value") as caught:
        parse({})
    text = (
        "No value(s) were specified for 'num_classes' which are required hyperparameter(s) (caused by ValidationError)"
    )
    assert caught.value.messages == (text,)
    with pytest.raises(CustomerError, match="'num_classes', 'num_training_samples' which are required"):
        parse({}, strict=True)


def test_every_fault_is_reported_at_once():
    assert len(faults(epochs="x", learning_rate="y", bogus="z")) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image_shape": "4,224,224"}, "4 channels"),
        ({"checkpoint_frequency": "31"}, "between 1 and 30"),
        ({"lr_scheduler_step": "20,10"}, "increasing"),
        ({"top_k": "11"}, "larger than num_classes 10"),
    ],
)
def test_values_that_contradict_each_other(given, words):
    assert words in fault(**given)


def test_names_that_samples_send_are_accepted_with_a_notice():
    given = GOOD | {"_tuning_objective_metric": "validation:accuracy", "model_prefix": "", "use_lr_scheduler": "1"}
    assert parse(given) == parse(GOOD)
    assert [notice.split("'")[1] for notice in hyperparameters.notices(given)] == ["model_prefix", "use_lr_scheduler"]


def test_forms_that_clients_write():
    values = parse(
        {"num_classes": '"10"', "image_shape": "3, 28, 28", "early_stopping": "true", "lr_scheduler_step": "10, 20"}
    )
    assert (values.shape, values.early_stopping, values.lr_steps) == ((3, 28, 28), True, (10, 20))
    assert parse(GOOD | {"early_stopping": "False", "top_k": ""}) == parse(GOOD)


def test_only_those_of_the_optimizer_apply():
    adam = parse(GOOD | {"optimizer": "adam"})
    assert [
        name for name in ("momentum", "weight_decay", "beta_1", "beta_2", "eps", "gamma") if adam.applies(name)
    ] == [
        "beta_1",
        "beta_2",
        "eps",
    ]


def test_printed_defaults_are_those_of_the_table():
    assert hyperparameters.defaults()["num_layers"] == 152
    assert set(hyperparameters.defaults()) < set(TABLE)


def test_the_page_in_docs_is_the_one_the_table_makes():
    assert PAGE.read_text() == hyperparameters.page(), "run: python -m darkroom.algorithm.hyperparameters > " + str(
        PAGE
    )
