"""Trains what a keypoint network remembers of the frames before, on people who move; the network itself stays as it is, or is trained further
along with it."""
from pathlib import Path

import numpy as np
import torch

from .consistency import VideoNet
from .loop import DEVICE, fit, platt
from .moving import Motions
from .start import take_up
from .train_keypoints import GROWTH, peaks
from .vision import KeypointNet, cross_entropy, near

SETTLED = 3  # frames before which there is little to remember
LEAP = 0.1  # of the box


def normalised(moved, size):
    """Affine maps of pixels `(..., 2, 3)` as maps of coordinates from -1 to 1 over crops of `size` pixels."""
    linear, by = moved[..., :2], moved[..., 2:]
    half, middle = size / 2, (size - 1) / 2
    return torch.cat([linear, (linear.sum(-1, keepdim=True) * middle + by - middle) / half], -1)


def chances(lift):
    """What gives logits `(n, frames, 25, c + 1, c)` of crops and how these moved, as what gives chances of being near each cell."""
    def told(crops, moved):
        with torch.no_grad():
            return near(lift(crops, moved).flatten(0, 1)).unflatten(0, crops.shape[:2]).cpu().numpy()
    return told


def found(told, motions, size, batches, frames=8):
    """Of frames of which `told(crops, moved)` gives maps: how far off joints are found `(n, frames, 25, 2)`, in parts of the box, the logit
    of their chance, which are shown, and which of these are seen `(n, frames, 25)`."""
    for _ in range(batches):
        crops, points, shown, weight, _, moved = motions.drawn(8, frames, size)
        places, height = peaks(told(crops, normalised(moved, size)), size)
        apart, height = (places - points.cpu().numpy()) * GROWTH / size, height.clip(1e-6, 1 - 1e-6)
        yield apart, np.log(height / (1 - height)), shown.cpu().numpy(), (shown & (weight == 1)).cpu().numpy()


def score(lift, motions, size, batches=4):
    """Shares of joints that can be seen within a tenth and a twentieth of the box, of those that cannot within a tenth, and how far the former
    move otherwise than the truth does from frame to frame, in thousandths of the box."""
    seen, hidden, jitter = [], [], []
    motions.reseed(1)
    for apart, _, shown, there in found(chances(lift), motions, size, batches):
        off = np.linalg.norm(apart, axis=-1)[:, SETTLED:]
        seen.append(off[there[:, SETTLED:]]), hidden.append(off[(shown & ~there)[:, SETTLED:]])
        shake = np.linalg.norm(apart[:, SETTLED:] - apart[:, SETTLED - 1:-1], axis=-1)
        # Leaps are errors of another kind.
        jitter.append(np.minimum(shake, LEAP)[there[:, SETTLED:] & there[:, SETTLED - 1:-1]])
    seen, hidden, jitter = map(np.concatenate, (seen, hidden, jitter))
    return (seen < 0.1).mean(), (seen < 0.05).mean(), (hidden < 0.1).mean(), 1000 * jitter.mean()


def calibrate(net, recipe, batches=12):
    """Gives the net the slope and shift of the logit that make it the chance of being within a tenth of the box (Platt scaling), on motions
    and photographs kept from training, hidden joints included."""
    logits, rights = [], []
    motions = Motions(recipe, 7, held=True)
    motions.reseed(1)
    for apart, logit, there, _ in found(chances(net.every), motions, recipe["size"], batches):
        logits.append(logit[there]), rights.append((np.linalg.norm(apart, axis=-1) < 0.1)[there])
    net.calibration = platt(torch.from_numpy(np.concatenate(logits)), torch.from_numpy(np.concatenate(rights).astype(np.float32)))


def taken_up(recipe, motions):
    """A network that says what the file of the recipe's `start` says of single frames, and, where `remembering` is said there, of frames after
    others as well, with those `parts` of the memory that the recipe names; the `whole` of it is to be trained, or the memory alone."""
    size, start, whole, shape = recipe["size"], recipe["start"], recipe.get("whole", False), recipe.get("shape", {})
    crops = motions.drawn(8, 4, size)[0].flatten(0, 1)
    if not start.get("remembering", False):
        return VideoNet(take_up(KeypointNet().to(DEVICE), start, crops), whole, **shape).to(DEVICE)
    net = VideoNet(whole=whole, **shape).to(DEVICE)
    nothing = torch.zeros(len(crops), net.consistency.kept, size // 16, size // 16, device=DEVICE)
    here = torch.eye(2, 3, device=DEVICE).expand(len(crops), 2, 3)
    take_up(net, start, crops, nothing, here, nothing, remembering=True)
    if "parts" in recipe:
        net.consistency = net.consistency.parts(**recipe["parts"]).to(DEVICE)
    return net


def train(recipe, work):
    torch.manual_seed(0)
    size, frames = recipe["size"], recipe["frames"]
    motions, held = Motions(recipe, 100), Motions(recipe, 7, held=True)
    net = taken_up(recipe, motions)

    def loss_of(net, drawn, step):
        crops, target, weight, moved = drawn
        logits = net.every(crops, normalised(moved, crops.shape[-1]), both_ways=step % 2 == 1)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), weight.flatten(0, 1))
        return loss, {"loss": loss}

    def told(lift):
        numbers = score(lift, held, size)
        return "{:.3f} within 0.1, {:.3f} within 0.05, of hidden joints {:.3f} within 0.1, jitter {:.2f}".format(*numbers)

    def remembering(net):
        net.eval()
        both_ways = lambda crops, moved: net.every(crops, moved, both_ways=True)
        return f"frame after frame {told(net.every)}; both ways {told(both_ways)}"
    alone = f"frame by frame {told(lambda crops, moved: net.net(crops.flatten(0, 1)).unflatten(0, crops.shape[:2]))}"
    # A new memory says the same as single frames.
    begins = f"; as it begins: {remembering(net)}" if recipe["start"].get("remembering", False) else ""
    print(f"motions not trained on: {alone}{begins}", flush=True)
    net.train()  # which it is not after a report

    net = fit(net, recipe, Path(work) / "video.pt", [motions], lambda count, size: motions.batch(count, frames, size), loss_of,
              lambda net, size: f"; motions not trained on: {remembering(net)}", every=recipe.get("every", 250),
              step=recipe["start"].get("step", 0), workers=0 if DEVICE.type == "cuda" else 1).eval()
    net.metrics = [f"motions not trained on: {remembering(net)}; {alone}"]
    print(net.metrics[0], flush=True)
    calibrate(net, recipe)
    return net
