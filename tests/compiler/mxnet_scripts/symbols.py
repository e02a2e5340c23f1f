"""FOLDER: networks of every operator that is imported, made by MXNet itself. For each NAME: the checkpoint
NAME/model-symbol.json and NAME/model-0001.params, NAME/images.npy, and what MXNet answers in NAME/probabilities.npy."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

S = mx.sym
CLASSES = 5


def lenet(x):
    x = S.Pooling(
        S.Activation(S.Convolution(x, kernel=(5, 5), num_filter=6), act_type="tanh"),
        kernel=(2, 2),
        stride=(2, 2),
        pool_type="max",
    )
    x = S.Pooling(
        S.Activation(S.Convolution(x, kernel=(5, 5), num_filter=8), act_type="tanh"),
        kernel=(2, 2),
        stride=(2, 2),
        pool_type="max",
    )
    x = S.Activation(S.FullyConnected(S.flatten(x), num_hidden=20), act_type="tanh")
    return S.SoftmaxOutput(S.FullyConnected(x, num_hidden=CLASSES), name="softmax")


def mlp(x):
    x = S.Activation(S.FullyConnected(S.flatten(x), num_hidden=16), act_type="relu")
    x = S.Activation(S.FullyConnected(x, num_hidden=8, no_bias=True), act_type="sigmoid")
    return S.SoftmaxOutput(S.FullyConnected(S.Dropout(x, p=0.5), num_hidden=CLASSES), name="softmax")


def alexnet(x):
    x = S.Convolution(x, kernel=(5, 5), stride=(2, 2), num_filter=8, pad=(1, 1))
    x = S.LRN(S.Activation(x, act_type="relu"), alpha=0.01, beta=0.75, knorm=2, nsize=5)
    x = S.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full")
    x = S.Convolution(x, kernel=(3, 3), num_filter=8, num_group=4, pad=(1, 1), dilate=(1, 1), no_bias=True)
    x = S.Activation(x, act_type="softrelu")
    return S.SoftmaxOutput(S.FullyConnected(x, num_hidden=CLASSES), name="softmax")


def pools(x):
    """Every kind of window, on sides that do not divide."""
    parts = []
    for kind in ("max", "avg"):
        for convention in ("valid", "full"):
            for pad in ((0, 0), (1, 1)):
                for counted in (True, False):
                    y = S.Pooling(
                        x,
                        kernel=(3, 3),
                        stride=(2, 2),
                        pad=pad,
                        pool_type=kind,
                        pooling_convention=convention,
                        count_include_pad=counted,
                    )
                    parts += [S.flatten(y), S.flatten(S.Pooling(y, global_pool=True, kernel=(7, 7), pool_type=kind))]
    parts.append(S.flatten(S.Pooling(x, kernel=(3, 2), stride=(2, 1), pool_type="avg", pooling_convention="full")))
    return S.softmax(S.FullyConnected(S.concat(*parts, dim=1), num_hidden=CLASSES), axis=-1, temperature=2.0)


def scalars(x):
    x = S.identity(1.5 - (x * 0.5 + 2.0 - 0.25) / 3.0)
    x = S.clip(x, a_min=-0.5, a_max=0.75)
    x = S.broadcast_add(S.broadcast_mul(x, x), S.Cast(S.Cast(x, dtype="float64"), dtype="float32"))
    x = S.BlockGrad(x - 2.0 / (x + 3.0)) + x
    return S.SoftmaxActivation(S.FullyConnected(x, num_hidden=CLASSES))


def leaky(x):
    x = S.Convolution(x, kernel=(3, 3), num_filter=6)
    parts = [S.LeakyReLU(x, act_type=kind, slope=0.3)[0] for kind in ("leaky", "elu", "selu", "gelu", "rrelu")]
    parts.append(S.LeakyReLU(x, act_type="prelu", name="prelu"))
    parts += [S.Activation(x, act_type=kind) for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")]
    parts += [S.relu(x), S.sigmoid(x), S.tanh(x)]
    x = S.Reshape(S.Concat(*parts, dim=1), shape=(0, -1))
    return S.LogisticRegressionOutput(S.FullyConnected(x, num_hidden=CLASSES), name="softmax")


def norms(x):
    """fix_gamma counts gamma as 1, whatever the file says."""
    x = S.BatchNorm(x, fix_gamma=True, eps=2e-5, name="bn_fixed")
    x = S.Convolution(x, kernel=(3, 3), num_filter=6, no_bias=True)
    x = S.BatchNorm(x, fix_gamma=False, name="bn_free")
    x = x + S.BatchNorm(S.Convolution(x, kernel=(1, 1), num_filter=6), fix_gamma=False, eps=0.01, name="bn_late")
    x = S.BatchNorm(S.FullyConnected(S.Flatten(x), num_hidden=7), name="bn_flat", fix_gamma=False)
    return S.SoftmaxOutput(S.FullyConnected(x, num_hidden=CLASSES), name="softmax")


def half(x):
    """What precision_dtype=float16 leaves: casts, and parameters of two bytes."""
    x = S.Convolution(S.Cast(x, dtype="float16"), kernel=(3, 3), num_filter=4, name="half_conv")
    x = S.FullyConnected(S.Activation(x, act_type="relu"), num_hidden=CLASSES, name="half_fc")
    return S.SoftmaxOutput(S.Cast(x, dtype="float32"), name="softmax")


NETWORKS = {
    "lenet": (lenet, (1, 28, 28)),
    "mlp": (mlp, (784,)),
    "alexnet": (alexnet, (3, 33, 34)),
    "pools": (pools, (2, 12, 15)),
    "scalars": (scalars, (12,)),
    "leaky": (leaky, (2, 7, 7)),
    "norms": (norms, (3, 9, 9)),
    "half": (half, (3, 8, 8)),
}


def values(random, name, array):
    """As training leaves them: none is 0 or 1, variances are positive."""
    if name.endswith(("moving_var", "gamma")):
        return random.uniform(0.5, 1.5, array.shape)
    return random.normal(0, 0.3 if array.ndim == 1 else np.sqrt(1 / np.prod(array.shape[1:])), array.shape)


def main(folder):
    for seed, (name, (build, shape)) in enumerate(NETWORKS.items()):
        random = np.random.RandomState(seed)
        images = random.uniform(-2, 2, (3, *shape)).astype(np.float32)
        symbol = build(S.Variable("data"))
        labels = [n for n in symbol.list_arguments() if n.endswith("_label")]
        module = mx.mod.Module(symbol, label_names=labels or None)
        module.bind(for_training=False, data_shapes=[("data", images.shape)])
        module.init_params()
        arguments, states = module.get_params()
        for arrays in (arguments, states):
            for key, array in arrays.items():
                array[:] = values(random, key, array)
        module.set_params(arguments, states)
        target = Path(folder) / name
        target.mkdir()
        module.save_checkpoint(str(target / "model"), 1)
        if name == "half":  # the executor cannot run float16 on a processor without a GPU: the same graph, in float32
            text = (target / "model-symbol.json").read_text().replace('"float16"', '"float32"')
            module = mx.mod.Module(S.load_json(text), label_names=labels)
            module.bind(for_training=False, data_shapes=[("data", images.shape)])
            rounded = {k: v.astype("float16").astype("float32") for k, v in arguments.items()}
            module.set_params(rounded, states)
            mx.model.save_checkpoint(
                str(target / "model"), 1, symbol, {k: v.astype("float16") for k, v in arguments.items()}, states
            )
        np.save(target / "images.npy", images)
        np.save(target / "probabilities.npy", module.predict(mx.io.NDArrayIter(images, batch_size=3)).asnumpy())


main(sys.argv[1])
