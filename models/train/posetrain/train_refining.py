"""Trains a refiner from a recipe, resumably."""
import time
from pathlib import Path

import numpy as np
import torch

from .loop import all_steps, line_of, stage
from .refining import COLUMNS, Refiner, Sequences, loss


def score(net, sequences, batches=8):
    """Mean error in mm of what was told: before, and refined."""
    before, after = [], []
    net.eval()
    with torch.no_grad():
        for _ in range(batches):
            rows, origin, truth, known = sequences.batch(128)
            given = rows.reshape(*truth.shape[:3], COLUMNS)
            told = (given[..., 3] > 0) & known[:, None]
            got = net(torch.from_numpy(rows)).numpy() + origin
            before.append(np.linalg.norm(given[..., :3] + origin - truth, axis=-1)[told].mean())
            after.append(np.linalg.norm(got - truth, axis=-1)[told].mean())
    net.train()
    return 1000 * float(np.mean(before)), 1000 * float(np.mean(after))


def train(recipe, work):
    torch.manual_seed(recipe.get("seed", 0))
    net = Refiner(recipe["hidden"], recipe["layers"], recipe["frames"])
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    checkpoint, first, cycles = Path(work) / "refining.pt", 0, recipe["cycles"]
    steps, count = all_steps(cycles), cycles[0]["batch"]
    if any(cycle["batch"] != count for cycle in cycles):
        raise ValueError("the cycles of a refiner are of one batch")
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        net.load_state_dict(state["net"]), optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    held = lambda: Sequences(recipe["held"], net.frames, seed=5)
    sequences = Sequences(recipe["data"], net.frames, seed=0)
    line = line_of(lambda: sequences.batch(count), 1, lambda process: sequences.reseed(first, process))
    began, running = time.time(), []
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = stage(step, cycles)[2]
        value = loss(net, *next(line))
        optimiser.zero_grad(), value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        running.append(value.item())
        if (step + 1) % 200 == 0 or step + 1 == steps:
            torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, checkpoint)
            before, after = score(net, held(), batches=2)
            print(f"step {step + 1}/{steps} loss {1000 * np.mean(running):.1f}; held-out subjects {before:.1f} -> {after:.1f} mm; "
                  f"{time.time() - began:.0f} s", flush=True)
            running = []
    before, after = score(net, held())
    net.metrics = [f"mean error {before:.1f} mm as reconstructed, {after:.1f} mm refined: CMU subjects 05, 08, 14 before random rooms "
                   "of two to five cameras, with the modelled faults of a 2D network"]
    return net
