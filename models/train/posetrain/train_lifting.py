"""Trains a lifting network from a recipe, resumably."""
import json
import time
from pathlib import Path

import numpy as np
import torch

from . import mocap
from .lifting import LiftNet, laplace
from .loop import DEVICE, halves, prefetch, tensor
from .views import Views


def score(net, clips, errors=None, seed=5, batches=6):
    """`(MPJPE, P-MPJPE)` in mm on random views of clips; limbs only, as skeletons differ elsewhere."""
    views, limbs = Views(clips, net.frames, errors, seed), list(range(3, 15))
    net.eval()
    plain, aligned = [], []
    with torch.no_grad():
        for _ in range(batches):
            x, target, _ = views.batch(512, strides=(1,))
            got = net(tensor(x))[..., :3].cpu().numpy()[:, limbs]
            want = target[:, 0, limbs]
            plain.append(np.linalg.norm(got - want, axis=-1).mean())
            a, b = got - got.mean(1, keepdims=True), want - want.mean(1, keepdims=True)
            u, s, v = np.linalg.svd(a.transpose(0, 2, 1) @ b)
            sign = np.ones_like(s)
            sign[:, -1] = np.sign(np.linalg.det(u @ v))
            turn = (u * sign[:, None]) @ v
            scale = (s * sign).sum(-1) / (a ** 2).sum((1, 2))
            aligned.append(np.linalg.norm(scale[:, None, None] * (a @ turn) - b, axis=-1).mean())
    net.train()
    return 1000 * float(np.mean(plain)), 1000 * float(np.mean(aligned))


def rate_at(step, phases):
    """Share of the learning rate: in each phase a short rise, then a cosine down to a hundredth."""
    for length in phases:
        if step < length:
            return min(1.0, (step + 1) / 100) * (0.505 + 0.495 * np.cos(np.pi * step / length))
        step -= length
    return 0.01


def train(recipe, work):
    torch.manual_seed(recipe.get("seed", 0))
    folder = Path(recipe["data"])
    clips = mocap.load(folder, "train", bodies=recipe["bodies"])
    held = mocap.load(folder, "subjects")
    errors = json.loads(Path(recipe["errors"]).read_text())
    net = LiftNet(recipe["channels"], recipe["blocks"]).to(DEVICE)
    optimiser = torch.optim.AdamW(net.parameters(), recipe["rate"], weight_decay=1e-4)
    phases, checkpoint, first = recipe["phases"], Path(work) / "lifting.pt", 0
    steps = sum(phases)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False, map_location=DEVICE)
        net.load_state_dict(state["net"]), optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    views = Views(clips, net.frames, errors, seed=first)
    draw, began, running = prefetch(lambda: views.batch(recipe["batch"], recipe["windows"])), time.time(), []
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe["rate"] * rate_at(step, phases)
        x, target, known = draw()
        with halves():
            found = net.every(tensor(x))
        loss, error = laplace(found, tensor(target), tensor(known))
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        running.append(error.item())
        if (step + 1) % 1000 == 0 or step + 1 == steps:
            partial = checkpoint.with_suffix(".part")
            torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, partial)
            partial.replace(checkpoint)
            plain, aligned = score(net, held)
            noisy, _ = score(net, held, errors)
            print(f"step {step + 1}/{steps} train {1000 * np.mean(running):.1f} mm; held-out subjects {plain:.1f} / "
                  f"P {aligned:.1f} mm, with modelled noise {noisy:.1f}; {time.time() - began:.0f} s", flush=True)
            running = []
    plain, aligned = score(net, held)
    net.metrics = [f"MPJPE {plain:.1f} mm, P-MPJPE {aligned:.1f} mm over twelve limb joints: CMU subjects 05, 08, 14, exact 2D"]
    return net
