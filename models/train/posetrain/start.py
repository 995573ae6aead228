"""Takes a network up where its `.onnx` file left it: machines and their checkpoints go, what is shipped stays."""
import hashlib
import math
from itertools import pairwise
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from .streaming import Streaming, unfold

REMEMBERS = "/consistency/"  # part of the names of those nodes of a file by which it remembers frames


def opened(start):
    """The graph of `start["file"]`, which `posetrain.export` wrote and whose sum is `start["sha256"]`, and what reads its weights by their names."""
    path, told = start["file"], start["sha256"]
    if (own := hashlib.sha256(Path(path).read_bytes()).hexdigest()) != told:
        raise ValueError(f"{path} is not the file from which this recipe goes on: its SHA-256 is {own}, not {told}. To train it further, "
                         "give the recipe's `start` that sum and the steps done so far, and add a cycle.")
    graph = onnx.load(path).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node if node.op_type in ("Cast", "Mul", "Identity")}  # see `export.stored`

    def read(name):
        if name in values:
            return torch.from_numpy(numpy_helper.to_array(values[name]).astype("float32"))
        return math.prod(map(read, made_by[name].input))
    return graph, read


def another(start, how):
    """What is said of a file that is of another network than the one that is to be trained."""
    return ValueError(f"{start['file']} is of another network: {how}. Leave `start` out of the recipe to train from nothing.")


def convolutions(start, remembering=False):
    """Weights and biases, where there are any, of the convolutions of a file, in the order in which they run; with those by which it remembers
    frames, or without."""
    graph, read = opened(start)
    return [tuple(map(read, node.input[1:])) for node in graph.node
            if node.op_type == "Conv" and (remembering or REMEMBERS not in node.name)]


def renormalise(net, run):
    """Gives normalisations whose shifts are those of the convolutions into which they were folded the mean and the spread of what they see while
    the network runs, and a scale and shift that undo these."""
    def undo(norm, inputs):
        of_channel = [n for n in range(inputs[0].ndim) if n != 1]
        mean, spread = inputs[0].mean(of_channel), inputs[0].var(of_channel, correction=0)
        norm.running_mean.copy_(mean), norm.running_var.copy_(spread)
        norm.weight.copy_(torch.sqrt(spread + norm.eps))
        norm.bias.add_(mean)

    hooks = [m.register_forward_pre_hook(undo) for m in net.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    net.eval()
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()


def take_up(net, start, *shown, remembering=False):
    """Gives an image network the weights of a file (see `opened`). With `remembering`, it has those by which the file's remembers frames as well.

    There each normalisation is folded into its convolution. Here it gets the mean and the spread back that it has on what it is `shown`, and
    a scale and shift that undo them, so that training goes on with normalised channels from the same function.
    """
    norm_of = {id(a): b for module in net.modules() if isinstance(module, nn.Sequential)
               for a, b in pairwise(module.children()) if isinstance(b, nn.BatchNorm2d)}
    stored = iter(convolutions(start, remembering))

    def load(conv, *_):
        bias = norm_of.get(id(conv), conv).bias
        weight, *shift = next(stored, (None,))
        if weight is None or weight.shape != conv.weight.shape or bool(shift) != (bias is not None):
            raise another(start, "its convolutions are of other shapes")
        conv.weight.copy_(weight)
        if shift:
            bias.copy_(*shift)

    hooks = [m.register_forward_pre_hook(load) for m in net.modules() if isinstance(m, nn.Conv2d)]
    renormalise(net, lambda: net(*shown))
    for hook in hooks:
        hook.remove()
    if next(stored, None) is not None:
        raise another(start, "it has more convolutions than this one")
    return net.train()


def take_up_lifter(net, start, sequences):
    """Gives a lifting network the weights of a file, as `take_up` does an image network, but as `unfold` says; it is shown `sequences` `(n, t,
    FEATURES)`. A file without means over longer may become one with them, which say nothing yet."""
    graph, read = opened(start)
    told = [tuple(axis.dim_value for axis in given.type.tensor_type.shape.dim[1:]) for given in graph.input if given.name.startswith("state_")]
    if not any(tensor.name == "needed" for tensor in graph.initializer):
        raise ValueError(f"{start['file']} is a lifter of an earlier form: export the checkpoint that it was made from anew.")
    streaming = Streaming(net)
    has_means = bool(net.means) and len(told) == len(streaming.states)
    if told != (streaming.states if has_means or not net.means else streaming.states[:-1]):
        raise another(start, f"it keeps {told} of the frames before, not {streaming.states}")
    if not torch.equal(read("needed"), streaming.needed):
        raise another(start, f"its layers do not look at frames that are {', '.join(map(str, net.apart))} apart")
    if has_means and not torch.allclose(read("fewest"), streaming.fewest, rtol=1e-3):
        raise another(start, f"its means are not of {', '.join(map(str, net.means))} frames")
    with torch.no_grad():
        unfold(net, read)
        if has_means:
            net.long.copy_(read("long"))
    renormalise(net, lambda: net.every(sequences))
    return net.train()


def begin(net, recipe, checkpoint, shown, take=take_up):
    """Takes `net` up where the recipe's `start` says, if there is one and no checkpoint yet; gives the steps that are done. `shown()` draws
    what it is shown for that."""
    start = recipe.get("start")
    if not start or checkpoint.exists():
        return 0
    take(net, start, shown())
    return start["step"]
