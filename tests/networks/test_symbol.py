import hashlib
import json

import pytest

from darkroom.networks.architecture import DEPTHS, Architecture
from darkroom.networks.mxnet import to_arrays
from darkroom.networks.resnet import build
from darkroom.networks.symbol import to_json

# sha256 of image-classification-symbol.json in a model that AWS's algorithm trained in April 2020
# (ResNet-50, 2 classes, published in github.com/ASUCICREPO/tempe-graffiti)
MADE_ON_AWS = "a865b797903394a6a86c799388795a1697cc858050230b8430ccc1bda61a419f"


def nodes(text: str) -> list[dict]:
    return json.loads(text)["nodes"]


def test_the_file_is_byte_for_byte_what_aws_wrote():
    ours = to_json(Architecture.of(50, 2, (3, 180, 320)))
    transferred = ours.replace('"fc1', '"fc')  # that model was fine-tuned, and its last layer renamed
    assert hashlib.sha256(transferred.encode()).hexdigest() == MADE_ON_AWS
    assert len(nodes(ours)) == 437


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("height", [28, 224])
def test_inputs_come_before_their_users_and_indexes_agree(depth, height):
    graph = json.loads(to_json(Architecture.of(depth, 3, (3, height, height))))
    for number, node in enumerate(graph["nodes"]):
        assert all(source < number for source, _, _ in node["inputs"])
    assert graph["arg_nodes"] == [n for n, node in enumerate(graph["nodes"]) if node["op"] == "null"]
    assert graph["heads"] == [[len(graph["nodes"]) - 1, 0, 0]]
    assert len(graph["node_row_ptr"]) == len(graph["nodes"]) + 1


@pytest.mark.parametrize(("depth", "height"), [(18, 224), (18, 32), (50, 64), (20, 28)])
def test_arguments_are_the_arrays_in_their_order(depth, height):
    net = build(depth, 3, (1, height, height))
    graph = nodes(to_json(net.architecture))
    names = [node["name"] for node in graph if node["op"] == "null"][1:-1]  # without data and softmax_label
    moving = [name for name in names if "_moving_" in name]
    learned = [name for name in names if "_moving_" not in name]
    assert list(to_arrays(net)) == [f"arg:{name}" for name in learned] + [f"aux:{name}" for name in moving]


def test_several_labels_end_in_independent_probabilities():
    output = nodes(to_json(Architecture.of(18, 3, (3, 224, 224)), multi_label=True))[-1]
    assert (output["op"], output["name"]) == ("LogisticRegressionOutput", "softmax")
