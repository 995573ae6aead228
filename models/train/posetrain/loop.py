"""The loop in which networks are trained: AdamW, cycles of the learning rate, a running average of the weights,
and checkpoints from which it goes on."""
import copy
import multiprocessing
import time

import numpy as np
import torch
from torch.utils import data

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# On processors without it, arithmetic of 16 bits takes twice as long as that of 32.
HALVES = DEVICE.type == "cuda" or getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()


def halves():
    """Arithmetic of 16 bits where it loses nothing and where there is any (AVX-512 BF16, AMX, GPUs): there a training step takes little more than
    half the time."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=HALVES)


class Drawn(data.IterableDataset):
    """What `draw` draws, without an end."""

    def __init__(self, draw):
        self.draw = draw

    def __iter__(self):
        while True:
            yield self.draw()


def line_of(draw, workers, reseed):
    """Batches that so many processes draw ahead, each of which `reseed(number)` makes draw others; without any, and where processes
    cannot be forked, drawn when asked for."""
    if workers and "fork" in multiprocessing.get_all_start_methods():
        how = {"multiprocessing_context": "fork", "worker_init_fn": reseed, "prefetch_factor": 3, "num_workers": workers}
    else:
        how = {}
        reseed(0)
    return iter(data.DataLoader(Drawn(draw), batch_size=None, **how))


def pixels(images):
    """Pictures `(n, S, S, 3)` of bytes as a network takes them."""
    return torch.as_tensor(images).to(DEVICE).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)


def tensor(array):
    """An array of numbers where the network is."""
    return torch.as_tensor(array).to(DEVICE)


def average(kept, net, decay):
    both = [pair for pair in zip(kept.state_dict().values(), net.state_dict().values()) if pair[0].dtype.is_floating_point]
    torch._foreach_lerp_(*zip(*both), 1 - decay)


def platt(logit, right):
    """Slope and shift of a score's logit that make it the chance of being right (Platt 1999); `right` is 0 or 1 for each."""
    line = torch.tensor([1.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=100)

    def step():
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(line[0] * logit + line[1], right)
        loss.backward()
        return loss
    optimiser.step(step)
    return line.tolist()


def stage(step, cycles):
    """At a step: the size of what is drawn, how many of a batch, the learning rate, and the step at which that size ends; `None` past the
    end.

    Each cycle has a `rate`, a `batch`, and `sizes`, a list of `[size, steps]` (pixels of a crop, windows of a sequence); its learning
    rate rises to `rate` for a short time, and falls as a cosine to a hundredth. A network that is trained further gets a further cycle.
    """
    start = 0
    for cycle in cycles:
        length = sum(steps for _, steps in cycle["sizes"])
        if step < start + length:
            done = (step - start) / length
            rate = cycle["rate"] * min(1.0, (step - start + 1) / 300) * (0.505 + 0.495 * np.cos(np.pi * done))
            for size, steps in cycle["sizes"]:
                if step < start + steps:
                    return size, cycle["batch"], rate, start + steps
                start += steps
        start += length
    return None


def all_steps(cycles):
    return sum(steps for cycle in cycles for _, steps in cycle["sizes"])


def steps_done(checkpoint):
    """How far a training is whose checkpoint this is: what it draws from there on must be something else than at its beginning."""
    return torch.load(checkpoint, weights_only=False, map_location="cpu")["step"] if checkpoint.exists() else 0


def fit(net, recipe, checkpoint, drawers, batch, loss_of, report=lambda kept, size: "", every=200, step=0, also=None, workers=1):
    """Trains `net` from `step` through `recipe["cycles"]` (see `stage`) and returns the average of its weights.

    `batch(count, size)` draws from `drawers`, on `workers` processes (see `line_of`), which draw others in each and after each break, as
    `reseed(step, process)` is called on every drawer; `loss_of(net, drawn, step)` gives the loss and the numbers to print, by name.
    `also`: what else is kept in checkpoints, by name, as a discriminator and its optimiser.
    """
    also = also or {}
    net = net.to(DEVICE, memory_format=torch.channels_last)
    kept = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=recipe.get("decay", 0.02), fused=True)
    cycles = recipe["cycles"]
    steps = all_steps(cycles)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False, map_location=DEVICE)
        net.load_state_dict(state["net"]), kept.load_state_dict(state["kept"])
        optimiser.load_state_dict(state["optimiser"])
        for name, part in also.items():
            part.load_state_dict(state["also"][name])
        step = state["step"]
    if DEVICE.type == "cuda":
        net.compile(dynamic=False)
    began, running = time.time(), []
    while now := stage(step, cycles):
        size, count, _, until = now
        line = line_of(lambda count=count, size=size: batch(count, size), workers,
                       lambda process, step=step: [drawer.reseed(step, process) for drawer in drawers])
        while step < until:
            for group in optimiser.param_groups:
                group["lr"] = stage(step, cycles)[2]
            drawn = next(line)
            with halves():
                loss, shown = loss_of(net, drawn, step)
            optimiser.zero_grad(), loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            step += 1
            average(kept, net, min(0.998, step / (step + 19)))
            running.append([torch.as_tensor(number).detach() for number in shown.values()])  # asked for later: that waits for the GPU
            if step % every == 0 or step == steps:
                partial = checkpoint.with_suffix(".part")
                torch.save({"net": net.state_dict(), "kept": kept.state_dict(), "optimiser": optimiser.state_dict(), "step": step,
                            "also": {name: part.state_dict() for name, part in also.items()}}, partial)
                partial.replace(checkpoint)
                means = ", ".join(f"{name} {np.mean([float(number) for number in numbers]):.3f}"
                                  for name, numbers in zip(shown, zip(*running)))
                print(f"step {step}/{steps} at {size}: {means}{report(kept, size)}; {time.time() - began:.0f} s", flush=True)
                running = []
    return kept
