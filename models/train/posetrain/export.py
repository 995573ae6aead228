"""Weights -> ONNX with small storage + model card.

Weights are kept as 16-bit floats or as bytes, with what makes 32-bit floats of them behind each, which both engines fold away when they
load the file: the arithmetic stays 32-bit.
"""
import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from .consistency import VideoNet, on_the_way_back
from .lifting import from_both_sides
from .plausible import Energy
from .refining import COLUMNS, JOINTS
from .streaming import Streaming
from .train_appearance import HIGH, WIDE
from .views import FEATURES
from .vision import AppearanceNet, KeypointNet, PersonNet, near

EIGHT_BITS = 100_000  # weights of a convolution that are stored as bytes: where pictures are small, joints are found as well with these
GIANT = 10  # metres; nobody is as large
MOTIONS = "CMU (without subjects 05, 08, 14), ReActIdle, DeepMimic"


def stored(model):
    """Stores large 32-bit initialisers as 16-bit ones, and the largest of pictures' convolutions as 8-bit ones with a scale for each
    channel, followed by what makes 32-bit ones of them."""
    nodes, kept = [], []
    for tensor in model.graph.initializer:
        values, name = numpy_helper.to_array(tensor), tensor.name
        if values.dtype != np.float32 or values.size < 64:
            kept.append(tensor)
        elif values.ndim == 4 and values.size >= EIGHT_BITS:
            scale = np.abs(values).max((1, 2, 3), keepdims=True).clip(1e-12) / 127
            kept.append(numpy_helper.from_array(np.round(values / scale).astype(np.int8), name + "_bytes"))
            kept.append(numpy_helper.from_array(scale, name + "_scale"))
            nodes.append(helper.make_node("Cast", [name + "_bytes"], [name + "_whole"], name=name + "_cast", to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [name + "_whole", name + "_scale"], [name], name=name + "_scaled"))
        else:
            kept.append(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
            nodes.append(helper.make_node("Cast", [name + "_half"], [name], name=name + "_cast", to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


class Heatmaps(nn.Module):
    """Heat maps as the decoder `heatmap` reads them: a peak's height is the chance that a joint which can be seen is there."""

    def __init__(self, net):
        super().__init__()
        self.net, (self.slope, self.shift) = net, net.calibration

    def forward(self, image):
        return self.calibrated(self.net(image))

    def calibrated(self, logits):
        chance = near(logits).clamp(1e-6, 1 - 1e-6)
        return torch.sigmoid(self.slope * (torch.log(chance) - torch.log1p(-chance)) + self.shift)


class Remembering(Heatmaps):
    """The same of a frame, with the states of a network that remembers."""

    def forward(self, image, state, moved, later):
        logits, kept = self.net(image, state, moved, later)
        return self.calibrated(logits), kept


class YoloxRows(nn.Module):
    """Boxes as the decoder `yolox` reads them: one grid, one class. The score is the chance that a person is there."""

    def __init__(self, net):
        super().__init__()
        self.net, (self.slope, self.shift) = net, net.calibration

    def forward(self, image):
        raw = self.net(image).flatten(2).transpose(1, 2)
        score = torch.sigmoid(self.slope * raw[..., 4:5] + self.shift)
        return torch.cat([raw[..., :2], raw[..., 2:4].clamp(-3, 5), score, torch.ones_like(score)], -1)


def image_input(size, fit):
    return {"name": "image", "kind": "image", "width": size, "height": size, "layout": "nchw", "channels": "rgb",
            "type": "f32", "fit": fit}


def sequence_input(frames, features):
    return {"name": "sequence", "kind": "sequence", "frames": frames, "features": features}


def save_card(card, path, recipe, metrics):
    """Writes the card of a network beside it."""
    card |= {"licence": "MIT OR Apache-2.0", "origin": f"models/train/recipes/{recipe}", "metrics": metrics,
             "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def streamed_apart(session, net, states, frames=60):
    """How far what a streaming lifter says of two people, the second of whom comes later, differs, at most, from what its windows say of both
    sides; the first frames repeated."""
    frames += max(net.means, default=0)
    people, first = torch.randn(2, frames, FEATURES), (0, frames // 4)
    windows = []
    for person, since in zip(people, first):
        before = torch.cat([person[since:since + 1].expand(net.frames - 1, -1), person[since:]])
        with torch.no_grad():
            windows.append(from_both_sides(net.every, before[None])[0].numpy())
    kept = {state["input"]: np.zeros((2, *state["shape"]), np.float32) for state in states}
    apart = 0
    for time in range(frames):
        if time == first[1]:
            for state in kept.values():
                state[1] = 0
        pose, *told = session.run(None, {"frame": people[:, time].numpy(), **kept})
        kept = dict(zip(kept, told))
        for person in (n for n in (0, 1) if time >= first[n]):
            wanted = windows[person][time - first[person]]
            # Of noise, one frame in a hundred is told to be kilometres large, which 32 bits tell to metres.
            if not GIANT <= np.abs(wanted).max() < np.inf:
                apart = np.maximum(apart, np.abs(pose[person] - wanted).max())
    return apart


def remembered_apart(session, net, card, frames=8):
    """How far the heat maps of a network that remembers two people differ, at most, frame after frame from those of all frames at once,
    without later frames and with them."""
    size, state = card["input"]["width"], card["decoder"]["states"][0]
    images = torch.rand(2, frames, 3, size, size) * 255
    moved = torch.eye(2, 3) + 0.1 * torch.randn(2, frames, 2, 3)
    nothing = np.zeros((frames, 2, *state["shape"]), np.float32)

    def along(order, moved, later):
        kept, out = nothing[0], {}
        for time in order:
            told, kept = session.run(None, {"image": images[:, time].numpy(), "state": kept, "crop_before_from_crop": moved[:, time].numpy(),
                                            "later": later[time]})
            out[time] = told, kept
        return [out[time] for time in range(frames)]
    back = [kept for _, kept in along(range(frames - 1, -1, -1), on_the_way_back(moved).flip(1), nothing)]
    apart = 0
    for both_ways, later in ((False, nothing), (True, back)):
        with torch.no_grad():
            at_once = Heatmaps(net).calibrated(net.every(images, moved, both_ways).flatten(0, 1)).unflatten(0, (2, frames)).numpy()
        one_by_one = np.stack([told for told, _ in along(range(frames), moved, later)], 1)
        apart = np.maximum(apart, np.abs(one_by_one - at_once).max())
    return apart


def save(module, examples, names, outputs, path, several=False, probe=None):
    """Writes a network, `several` examples at once or one; gives a session with 32-bit weights, how far the stored ones move the first output
    of a probe, and how far ONNX does."""
    module = module.to(memory_format=torch.contiguous_format).eval()
    axes = {name: {0: "people"} for name in names + outputs} if several else None
    torch.onnx.export(module, tuple(examples), str(path), input_names=names, output_names=outputs, opset_version=17, dynamo=False,
                      dynamic_axes=axes)
    plain = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    onnx.save(stored(onnx.load(path)), path)
    small = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    probe = probe or [torch.rand(example.shape) for example in examples]
    told = dict(zip(names, (example.numpy() for example in probe)))
    exact = plain.run(None, told)[0]
    apart = np.abs(exact - small.run(None, told)[0]).max()
    with torch.no_grad():
        of_torch = module(*probe)
    torch_apart = np.abs(exact - (of_torch[0] if len(outputs) > 1 else of_torch).numpy()).max()
    return plain, apart, torch_apart


def announce(path, apart, torch_apart):
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; stored weights move the output by {apart:.2g}, ONNX by {torch_apart:.2g}")


def export_windows(net, name, out, metric):
    """A lifting network that is shown a whole window each time, and its card."""
    net.cpu().eval()
    path = Path(out) / f"{name}.onnx"
    _, _, apart = save(net, [torch.randn(1, net.frames, FEATURES)], ["sequence"], ["pose"], path)
    if apart > 1e-3:
        raise ValueError(f"{path} does not say what the network says: {apart:.2g} apart")
    # The crate has no frames that are yet to come.
    if not net.ahead:
        save_card({"name": name, "task": "lift", "file": path.name, "joints": "lift23", "input": sequence_input(net.frames, FEATURES),
                   "decoder": {"kind": "lift", "output": "pose"}, "data": MOTIONS}, path, "study.toml", [metric])


def export_energy(judge, path):
    """A discriminator as `energy` `(n,)` and `gradient` of `poses` `(n, frames, 23, 3)`."""
    energy, poses = Energy(judge.cpu().eval()), torch.randn(1, judge.frames, JOINTS, 3, requires_grad=True)
    told, gradient = energy(poses)
    exact = torch.autograd.grad(told.sum(), poses)[0]
    apart = ((exact - gradient).abs().max() / exact.abs().max()).item()
    if apart > 1e-4:
        raise ValueError(f"the gradient of an energy is written out wrongly: {apart:.2g} of its largest number off")
    save(energy, [poses.detach()], ["poses"], ["energy", "gradient"], path, several=True)


def export(recipe, recipe_name, net, out):
    net.cpu().eval()
    name = recipe["name"]
    tasks = {"lifting": "lift", "refining": "refine", "video": "keypoints"}
    card = {"name": name, "task": tasks.get(recipe["task"], recipe["task"]), "file": f"{name}.onnx"}
    if recipe["task"] == "lifting":
        net.silence()
        module, inputs = Streaming(net), "frame"
        examples = [torch.zeros(1, FEATURES), *(torch.zeros(1, *shape) for shape in module.states)]
        states = [{"input": f"state_{n}", "output": f"next_{n}", "shape": shape} for n, shape in enumerate(module.states)]
        card |= {"joints": "lift23", "input": {"name": inputs, "kind": "frame", "features": FEATURES},
                 "decoder": {"kind": "lift", "output": "pose", "states": states}, "data": MOTIONS}
    elif recipe["task"] == "refining":
        features = JOINTS * COLUMNS
        module, examples, inputs = net, [torch.zeros(1, net.frames, features)], "sequence"
        card |= {"joints": "lift23", "input": sequence_input(net.frames, features),
                 "decoder": {"kind": "refine", "output": "poses"}, "data": MOTIONS}
    elif recipe["task"] == "appearance":
        module, examples, inputs = net, [torch.zeros(1, 3, HIGH, WIDE)], "image"
        card |= {"input": image_input(WIDE, {"kind": "crop", "growth": 1.0, "pad": 114}) | {"height": HIGH},
                 "decoder": {"kind": "embedding", "output": "looks", "likeness": net.likeness},
                 "data": "people rendered by Bevy; photographs under free licences"}
    elif recipe["task"] in ("keypoints", "video"):
        size, decoder = recipe["size"], {"kind": "heatmap", "output": "heatmaps"}
        module, examples, inputs = Heatmaps(net), [torch.zeros(1, 3, size, size)], "image"
        if recipe["task"] == "video":
            state = (net.consistency.kept, size // 16, size // 16)
            module = Remembering(net)
            examples += [torch.zeros(1, *state), torch.eye(2, 3)[None], torch.zeros(1, *state)]
            decoder |= {"states": [{"input": "state", "output": "next_state", "shape": state, "later": "later"}],
                        "crop_before_from_crop": "crop_before_from_crop"}
        card |= {"joints": "body25", "input": image_input(size, {"kind": "crop", "growth": 1.25, "pad": 114}),
                 "decoder": decoder, "data": "photographs under free licences, labelled by "
                 "the agreement of MoveNet and BlazePose; people rendered in poses of mocap"}
    else:
        size = recipe["size"]
        module, examples, inputs = YoloxRows(net), [torch.zeros(1, 3, size, size)], "image"
        card |= {"input": image_input(size, {"kind": "letterbox", "pad": 114}),
                 "decoder": {"kind": "yolox", "output": "rows", "strides": [8], "person": 0},
                 "data": "photographs under free licences, labelled by YOLOX-nano; people rendered in poses of mocap"}
    path = Path(out) / card["file"]
    states = card["decoder"].get("states", [])
    names = [inputs, *(state["input"] for state in states), *filter(None, [card["decoder"].get("crop_before_from_crop")]),
             *(state["later"] for state in states if "later" in state)]
    outputs = [card["decoder"]["output"], *(state["output"] for state in states)]
    # Several people go through these networks at once.
    several = recipe["task"] in ("appearance", "keypoints", "lifting", "video")
    probe = [torch.rand(example.shape) * (255 if name == "image" else 1) for name, example in zip(names, examples)]
    # What is shipped stays until this is known to be right.
    part = path.with_suffix(".part")
    plain, apart, torch_apart = save(module, examples, names, outputs, part, several, probe)
    wrong = [torch_apart]
    if states:
        streamed = remembered_apart(plain, net, card) if recipe["task"] == "video" else streamed_apart(plain, net, states)
        print(f"frame after frame and all at once apart by {streamed:.2g}")
        wrong.append(streamed)
    wrong = np.max(wrong)  # which is no number where one of them is not
    if not wrong <= 1e-3:
        raise ValueError(f"{part} does not say what the network says: {wrong:.2g} apart")
    if not np.isfinite(apart):
        raise ValueError(f"{part} does not say anything with its weights as they are stored: they are too large for 16 bits")
    part.replace(path)
    save_card(card, path, recipe_name, getattr(net, "metrics", []))
    announce(path, apart, torch_apart)


if __name__ == "__main__":
    # Exports a checkpoint of a running or finished training: python -m posetrain.export RECIPE.toml CHECKPOINT OUT
    import argparse
    import tomllib

    from . import train_lifting
    from .loop import DEVICE

    parser = argparse.ArgumentParser(description="Exports a checkpoint of a running or finished training.")
    parser.add_argument("recipe", type=Path), parser.add_argument("checkpoint", type=Path), parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text())
    state = torch.load(arguments.checkpoint, weights_only=False, map_location=DEVICE)
    if recipe["task"] == "lifting":
        net = train_lifting.network(recipe)
    else:
        net = {"keypoints": KeypointNet, "person": PersonNet, "appearance": AppearanceNet, "video": VideoNet}[recipe["task"]](**recipe.get("shape", {}))
    net.load_state_dict(state["kept"])
    net = net.to(DEVICE).eval()
    if recipe["task"] in ("person", "keypoints", "appearance", "video"):
        importlib.import_module(f"posetrain.train_{recipe['task']}").calibrate(net, recipe)
    arguments.out.mkdir(parents=True, exist_ok=True)
    export(recipe, arguments.recipe.name, net, arguments.out)
