"""The table of pretrained weights that are published: what they are called, where they come from, what they expect.

``darkroom weights list`` and ``pull``, the error of a job that lacks them and the documentation read this table. It
knows no torch and no network protocol.
"""

from dataclasses import dataclass

from darkroom.networks.architecture import MOBILENET_V2, PREACT_RESNET, RESNET, SQUEEZENET

PYTORCH = "https://download.pytorch.org/models"
MXNET = "http://data.mxnet.io/models/imagenet/resnet"
IMAGENET_RGB = "RGB 0..1, mean .485 .456 .406, deviation .229 .224 .225"
OWN_NORM = "RGB 0..255; the network normalises"


@dataclass(frozen=True)
class Published:
    """``sha256`` is of the file at ``url``: all 64 digits, or the first eight, which torchvision writes into its file
    names and checks itself; empty where nobody published any."""

    name: str
    network: str
    num_layers: int  # 0 where the network has one size
    url: str
    sha256: str
    licence: str
    expects: str = IMAGENET_RGB

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


def _torchvision(name: str, network: str, num_layers: int, sha256: str) -> Published:
    return Published(name, network, num_layers, f"{PYTORCH}/{name}-{sha256[:8]}.pth", sha256, "BSD-3-Clause")


def _mxnet(num_layers: int) -> Published:
    url = f"{MXNET}/{num_layers}-layers/resnet-{num_layers}-0000.params"
    return Published(f"preact_resnet{num_layers}", PREACT_RESNET, num_layers, url, "", "Apache-2.0", OWN_NORM)


TABLE: dict[str, Published] = {
    entry.name: entry
    for entry in (
        _torchvision("resnet18", RESNET, 18, "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
        _torchvision("resnet34", RESNET, 34, "b627a593"),
        _torchvision("resnet50", RESNET, 50, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
        _torchvision("resnet101", RESNET, 101, "63fe2227"),
        _torchvision("resnet152", RESNET, 152, "394f9c45"),
        _torchvision("mobilenet_v2", MOBILENET_V2, 0, "b0353104"),
        _torchvision(
            "squeezenet1_1", SQUEEZENET, 0, "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"
        ),
        *(_mxnet(depth) for depth in (18, 34, 50, 101, 152)),
    )
}


def published_for(network: str | None, num_layers: int) -> tuple[Published, ...]:
    """Entries of a network, those whose checksum is known first; None: of either kind of ResNet."""
    networks = (PREACT_RESNET, RESNET) if network is None else (network,)
    found = [entry for entry in TABLE.values() if entry.network in networks and entry.num_layers in (num_layers, 0)]
    return tuple(sorted(found, key=lambda entry: not entry.sha256))
