"""The server that people write around a PyTorch model, written well: ``python flask_peer.py serve MODEL PORT``.

Flask behind waitress, which keeps connections; Pillow decodes and resizes; the network is run as users run it,
in fp32, in inference mode, on both threads. ``once MODEL PHOTO`` answers one photo from the shell and ends.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from darkroom.networks import artifact

SIDE, RESIZED, THREADS = 224, 256, 2


def classifier(model: str) -> Callable[[bytes], list[float]]:
    torch.set_num_threads(THREADS)
    net = artifact.load(model).net.eval()

    @torch.inference_mode()
    def classify(photo: bytes) -> list[float]:
        pixels = torch.from_numpy(_pixels(photo)).permute(2, 0, 1)[None].float()
        return net(pixels).softmax(1)[0].tolist()

    return classify


def _pixels(photo: bytes) -> np.ndarray:
    """(224, 224, 3): the shorter side to 256, the centre."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    scale = RESIZED / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return np.array(image.crop((left, top, left + SIDE, top + SIDE)))


def serve(model: str, port: int) -> None:
    import waitress
    from flask import Flask, Response, request

    classify, app = classifier(model), Flask(__name__)

    @app.post("/invocations")
    def invocations() -> Response:
        return Response(json.dumps(classify(request.get_data())), mimetype="application/json")

    waitress.serve(app, host="127.0.0.1", port=port, threads=THREADS)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(classifier(sys.argv[2])(Path(sys.argv[3]).read_bytes())), flush=True)
