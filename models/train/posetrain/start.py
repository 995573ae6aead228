"""Takes an image network up where its `.onnx` file left it: machines and their checkpoints go, what is shipped stays."""
import hashlib
import math
from itertools import pairwise
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn


def convolutions(path):
    """Weights and biases of the convolutions of a file, in the order in which they run; without those by which it remembers frames."""
    graph = onnx.load(path).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node if node.op_type in ("Cast", "Mul", "Identity")}  # see `export.stored`

    def read(name):
        if name in values:
            return torch.from_numpy(numpy_helper.to_array(values[name]).astype("float32"))
        return math.prod(map(read, made_by[name].input))
    return [(read(node.input[1]), read(node.input[2])) for node in graph.node
            if node.op_type == "Conv" and "/consistency/" not in node.name]


def begin(net, recipe, checkpoint, pictures):
    """Takes `net` up where the recipe's `start` says, if there is one and no checkpoint yet; gives the steps that are done. `pictures()`
    draws some."""
    start = recipe.get("start")
    if not start or checkpoint.exists():
        return 0
    take_up(net, start, pictures())
    return start["step"]


def take_up(net, start, pictures):
    """Gives `net` the weights of `start["file"]`, which `posetrain.export` wrote; `start["sha256"]` is that file's.

    There each normalisation is folded into its convolution. Here it gets the mean and the spread back that it has on `pictures`, and
    a scale and shift that undo them, so that training goes on with normalised channels from the same function.
    """
    path, told = start["file"], start["sha256"]
    if (own := hashlib.sha256(Path(path).read_bytes()).hexdigest()) != told:
        raise ValueError(f"{path} is not the file from which this recipe goes on: its SHA-256 is {own}, not {told}. To train it further, "
                         "give the recipe's `start` that sum and the steps done so far, and add a cycle.")
    norm_of = {id(a): b for module in net.modules() if isinstance(module, nn.Sequential)
               for a, b in pairwise(module.children()) if isinstance(b, nn.BatchNorm2d)}
    stored = iter(convolutions(path))

    def load(conv, *_):
        weight, bias = next(stored, (None, None))
        if weight is None or weight.shape != conv.weight.shape:
            raise ValueError(f"{path} is of another network: its convolutions are of other shapes. Leave `start` out of the recipe to "
                             "train from nothing.")
        conv.weight.copy_(weight)
        (norm_of[id(conv)] if id(conv) in norm_of else conv).bias.copy_(bias)

    def undo(norm, inputs):
        x = inputs[0]
        mean, spread = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        norm.running_mean.copy_(mean), norm.running_var.copy_(spread)
        norm.weight.copy_(torch.sqrt(spread + norm.eps))
        norm.bias.add_(mean)

    hooks = [m.register_forward_pre_hook(load) for m in net.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(undo) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    net.eval()
    with torch.no_grad():
        net(pictures)
    for hook in hooks:
        hook.remove()
    if next(stored, None) is not None:
        raise ValueError(f"{path} is of another network: it has more convolutions than this one.")
    return net.train()
