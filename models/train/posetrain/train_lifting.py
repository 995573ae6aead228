"""Trains a lifting network from a recipe, resumably."""
import json
from pathlib import Path

import numpy as np
import torch

from . import mocap
from .mocap import LIMBS
from .lifting import LiftNet, from_both_sides, laplace
from .loop import DEVICE, fit, steps_done, tensor
from .start import begin, take_up_lifter
from .views import Views

WATCHED = 60  # frames for which people have been shown before what is told of them is scored


def aligned(got, want):
    """Poses `(n, joints, 3)` turned, scaled and moved onto others (Procrustes)."""
    a, middle = got - got.mean(1, keepdims=True), want.mean(1, keepdims=True)
    b = want - middle
    u, s, v = np.linalg.svd(a.transpose(0, 2, 1) @ b)
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ v))
    scale = (s * sign).sum(-1) / (a ** 2).sum((1, 2))
    return scale[:, None, None] * (a @ ((u * sign[:, None]) @ v)) + middle


def errors_of(lift, views, batches=6, strides=(1,), people=512, windows=1):
    """`(MPJPE, P-MPJPE)` in mm over limbs of what `lift` makes of the last window of sequences."""
    plain, after = [], []
    for _ in range(batches):
        x, target, _ = views.batch(people, windows, strides=strides)
        got, want = lift(x)[:, LIMBS], target[:, -1, LIMBS]
        plain.append(np.linalg.norm(got - want, axis=-1).mean())
        after.append(np.linalg.norm(aligned(got, want) - want, axis=-1).mean())
    return 1000 * float(np.mean(plain)), 1000 * float(np.mean(after))


def lifting(net, every=None):
    """A network as a function of arrays, in evaluation mode: of the last window that `every` tells of, or of the only one."""
    def lift(x):
        net.eval()
        with torch.no_grad():
            got = (every or net.every)(tensor(x))[:, -1, :, :3].cpu().numpy()
        net.train()
        return got
    return lift


def score(net, clips, errors=None):
    """`(MPJPE, P-MPJPE)` in mm of what users are told of people who have been in view for a while, on random views of clips, whose lens is known
    to 12 %."""
    views = Views(clips, net.frames, errors, seed=5, late=0)
    return errors_of(lifting(net, lambda x: from_both_sides(net.every, x)), views, batches=12, people=128, windows=WATCHED)


def motions(recipe):
    """The motions that are trained on: everybody as recorded and on varied bodies, some of them `recombined`."""
    folder = recipe["data"]
    return mocap.load(folder, "train") + mocap.load(folder, "train", recipe["bodies"], recipe["mixed"], varied=True)


def network(recipe):
    return LiftNet(recipe["channels"], recipe["apart"], dropout=recipe["dropout"], means=recipe["means"])


def train(recipe, work):
    torch.manual_seed(recipe.get("seed", 0))
    net, checkpoint, held = network(recipe).to(DEVICE), Path(work) / "lifting.pt", mocap.load(recipe["data"], "subjects")
    errors = json.loads(Path(recipe["errors"]).read_text())
    views = Views(motions(recipe), net.frames, errors, hidden=recipe.get("hidden", 0), tilted=recipe["tilted"], up_known=recipe.get("up_known", 0))
    step = begin(net, recipe, checkpoint, lambda: tensor(views.batch(128, 8)[0]), take_up_lifter)
    torch.manual_seed(recipe.get("seed", 0) + (step or steps_done(checkpoint)))  # other joints are dropped after a break

    def loss_of(net, drawn, step):
        sequences, poses, known = map(tensor, drawn)
        loss, error = laplace(net.every(sequences), poses, known)
        return loss, {"error, mm": 1000 * error}

    def report(net, _):
        (plain, aligned), (noisy, _) = score(net, held), score(net, held, errors)
        return f"; held-out subjects {plain:.1f} / P {aligned:.1f} mm, with modelled noise {noisy:.1f}"

    net = fit(net, recipe, checkpoint, [views], views.batch, loss_of, report, every=1000, step=step,
              workers=recipe["workers"])
    plain, aligned = score(net, held)
    net.metrics = [f"MPJPE {plain:.1f} mm, P-MPJPE {aligned:.1f} mm over twelve limb joints: CMU subjects 05, 08, 14, exact 2D, after {WATCHED} frames"]
    return net
