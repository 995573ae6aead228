"""A tiny network that remembers, of random weights, for the tests of the crate: `python tests/remembering.py ../../tests/data`."""
import sys
from unittest import mock

import torch

from posetrain import export
from posetrain.consistency import VideoNet
from posetrain.vision import KeypointNet

SIZE = 64


def network():
    torch.manual_seed(0)
    net = VideoNet(KeypointNet(widths=(8, 8, 8, 8), depths=(0, 0, 0, 0), merged=8), told=4).eval()
    for part in net.consistency.parameters():
        torch.nn.init.normal_(part, std=0.3)
    torch.nn.init.normal_(net.net.head.weight, std=1.0)
    net.calibration = 1.2, 0.1
    return net


def write(folder):
    # Some of its convolutions are stored as bytes, as those of larger networks are.
    with mock.patch.object(export, "EIGHT_BITS", 500):
        export.export({"task": "video", "name": "remembering", "size": SIZE}, "video.toml", network(), folder)


if __name__ == "__main__":
    write(sys.argv[1])
