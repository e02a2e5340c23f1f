"""Writes the files beside it: ``pip install tensorflow-cpu``, then ``python make.py``. No test needs it."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

HERE = Path(__file__).parent
layers = tf.keras.layers


def network() -> tf.keras.Model:
    """Every kind of layer that small classifiers of photos are made of."""
    tf.random.set_seed(0)
    return tf.keras.Sequential(
        [
            tf.keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.ReLU(),
            layers.MaxPool2D(2),
            layers.Conv2D(12, 1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
            layers.Softmax(),
        ]
    )


if __name__ == "__main__":
    random = np.random.default_rng(0)
    net = network()
    net(random.random((8, 32, 32, 3)), training=True)  # moving averages of its own
    images = random.normal(size=(2, 32, 32, 3)).astype(np.float32)
    np.savez(HERE / "tiny.npz", images=images, answers=net(images).numpy())
    (HERE / "tiny.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(net).convert())
    program = tf.function(lambda x: net(x)).get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
    frozen = convert_variables_to_constants_v2(program).graph.as_graph_def()
    (HERE / "tiny.pb").write_bytes(frozen.SerializeToString())
