"""Weights -> ONNX with half-precision storage + model card.

Weights are kept as 16-bit floats with a cast behind each, which both engines fold away when they load the file: half the
size, and the arithmetic stays 32-bit.
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

from .vision import KeypointNet, PersonNet, near
from .refining import COLUMNS, JOINTS
from .views import FEATURES


def halve(model):
    """Stores large 32-bit initialisers as 16-bit ones followed by a cast."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            kept.append(tensor)
            continue
        name = tensor.name + "_half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], name=name + "_cast", to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    return model


class Heatmaps(nn.Module):
    """Heat maps as the decoder `heatmap` reads them: a peak's height is the chance that a joint which can be seen is there."""

    def __init__(self, net):
        super().__init__()
        self.net, (self.slope, self.shift) = net, net.calibration

    def forward(self, image):
        chance = near(self.net(image)).clamp(1e-6, 1 - 1e-6)
        return torch.sigmoid(self.slope * (torch.log(chance) - torch.log1p(-chance)) + self.shift)


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


def export(recipe, recipe_name, net, out):
    net.cpu().eval()
    name = recipe["name"]
    card = {"name": name, "task": {"lifting": "lift", "refining": "refine"}.get(recipe["task"], recipe["task"]), "file": f"{name}.onnx"}
    if recipe["task"] == "lifting":
        module, example, inputs = net, torch.zeros(1, net.frames, FEATURES), "sequence"
        card |= {"joints": "lift23", "input": {"name": inputs, "kind": "sequence", "frames": net.frames, "features": FEATURES},
                 "decoder": {"kind": "lift", "output": "pose"}, "data": "CMU (without subjects 05, 08, 14), ReActIdle, DeepMimic"}
    elif recipe["task"] == "refining":
        features = JOINTS * COLUMNS
        module, example, inputs = net, torch.zeros(1, net.frames, features), "sequence"
        card |= {"joints": "lift23", "input": {"name": inputs, "kind": "sequence", "frames": net.frames, "features": features},
                 "decoder": {"kind": "refine", "output": "poses"}, "data": "CMU (without subjects 05, 08, 14), ReActIdle, DeepMimic"}
    elif recipe["task"] == "keypoints":
        size = recipe["size"]
        module, example, inputs = Heatmaps(net), torch.zeros(1, 3, size, size), "image"
        card |= {"joints": "body25", "input": image_input(size, {"kind": "crop", "growth": 1.25, "pad": 114}),
                 "decoder": {"kind": "heatmap", "output": "heatmaps"}, "data": "photographs under free licences, labelled by "
                 "the agreement of MoveNet and BlazePose; figures drawn from mocap"}
    else:
        size = recipe["size"]
        module, example, inputs = YoloxRows(net), torch.zeros(1, 3, size, size), "image"
        card |= {"input": image_input(size, {"kind": "letterbox", "pad": 114}),
                 "decoder": {"kind": "yolox", "output": "rows", "strides": [8], "person": 0},
                 "data": "photographs under free licences, labelled by YOLOX-nano; figures drawn from mocap"}
    output = card["decoder"]["output"]
    path = Path(out) / card["file"]
    module = module.to(memory_format=torch.contiguous_format).eval()
    # Crops of several people go through the keypoint network at once.
    several = {inputs: {0: "people"}, output: {0: "people"}} if recipe["task"] == "keypoints" else None
    torch.onnx.export(module, (example,), str(path), input_names=[inputs], output_names=[output], opset_version=17, dynamo=False,
                      dynamic_axes=several)
    plain = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    onnx.save(halve(onnx.load(path)), path)
    halved = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    probe = {inputs: torch.rand(example.shape).numpy() * (255 if inputs == "image" else 1)}
    apart = np.abs(plain.run(None, probe)[0] - halved.run(None, probe)[0]).max()
    with torch.no_grad():
        torch_apart = np.abs(plain.run(None, probe)[0] - module(torch.from_numpy(probe[inputs])).numpy()).max()
    card |= {"licence": "MIT OR Apache-2.0", "origin": f"models/train/recipes/{recipe_name}", "metrics": getattr(net, "metrics", []),
             "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (Path(out) / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; half-precision weights move the output by {apart:.2g}, ONNX by {torch_apart:.2g}")


if __name__ == "__main__":
    # Exports a checkpoint of a running or finished training: python -m posetrain.export RECIPE.toml CHECKPOINT OUT
    import argparse
    import tomllib

    from .lifting import LiftNet
    from .loop import DEVICE

    parser = argparse.ArgumentParser(description="Exports a checkpoint of a running or finished training.")
    parser.add_argument("recipe", type=Path), parser.add_argument("checkpoint", type=Path), parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text())
    state = torch.load(arguments.checkpoint, weights_only=False, map_location=DEVICE)
    if recipe["task"] == "lifting":
        net = LiftNet(recipe["channels"], recipe["blocks"])
    else:
        net = KeypointNet() if recipe["task"] == "keypoints" else PersonNet()
    net.load_state_dict(state.get("kept", state["net"]))
    net = net.to(DEVICE)
    if recipe["task"] in ("person", "keypoints"):
        importlib.import_module(f"posetrain.train_{recipe['task']}").calibrate(net, recipe)
    arguments.out.mkdir(parents=True, exist_ok=True)
    export(recipe, arguments.recipe.name, net, arguments.out)
