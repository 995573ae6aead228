"""The lifting network: 2D over time -> 3D of the last frame, with an uncertainty per joint.

Causal temporal convolutions, as VideoPose3D (Pavllo et al. 2019, section 3) has them, of inverted bottlenecks, and means over longer: how long
somebody's limbs are, and where the camera hangs, is told a little by every frame. Two things are told to it rather than left to be learned:
how limbs lie and how long they look, and that a joint lies on its ray.
"""
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .mocap import LIFT23
from .views import BODY, FEATURES, MIRROR, SCALE

JOINTS = len(LIFT23)
STIRS = 1e-9  # the least variance of a channel that tells anything
BONES = [(LIFT23.index(a), LIFT23.index(b)) for a, b in [
    ("nose", "left_ear"), ("nose", "right_ear"), ("nose", "left_shoulder"), ("nose", "right_shoulder"),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")
     for a, b in (("shoulder", "hip"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "pinky"), ("wrist", "index"),
                  ("hip", "knee"), ("knee", "ankle"), ("ankle", "heel"), ("ankle", "foot_index")))]]


class Lifting(nn.Module):
    """What lifting networks share: `(n, frames, FEATURES)` -> `(n, 23, 4)`, x, y, z in metres about mid hips, and the log of their Laplace
    scale, of the frame that has `ahead` others after it."""

    frames: int
    ahead = 0

    def raw(self, x):
        """What the last layer tells of every window of a longer sequence: `(n, t, FEATURES)` -> `(n, t - frames + 1, 4 * 23 + 3)`."""
        raise NotImplementedError

    def asked(self, x):
        """The frames whose poses are told."""
        first = self.frames - 1 - self.ahead
        return x[:, first:x.shape[1] - self.ahead]

    def every(self, x):
        """Poses of every window of a longer sequence: `(n, t, FEATURES)` -> `(n, t - frames + 1, 23, 4)`."""
        return on_rays(self.raw(x).float(), self.asked(x))

    def placed(self, x):
        """The same, and where mid hips are in each person camera, `(n, t - frames + 1, 3)`."""
        raw, frames = self.raw(x).float(), self.asked(x)
        return on_rays(raw, frames), roots(raw, frames)

    def forward(self, x):
        return self.every(x)[:, 0]


class LiftNet(Lifting):
    """Causal, unless it is `symmetric`. Each layer looks along the frames of every channel by itself, at three that are `apart`, and then at
    all channels of a frame (the inverted bottleneck of Liu et al. 2022, "A ConvNet for the 2020s"): most of lifting is between the joints
    of a frame, not between frames. Five such layers have as many weights as three full convolutions with two layers between.

    With `means`, the last layer is told besides what each channel has been on average since the first frame that was asked for, each channel over
    so many frames at most as `means` says in turn, later ones counting more (an exponential moving average)."""

    def __init__(self, channels=256, apart=(1, 1, 2, 3, 6), widening=2, dropout=0.0, symmetric=False, means=()):
        super().__init__()
        self.dropout, self.apart, self.means = nn.Dropout(dropout), tuple(apart), tuple(means)
        self.frames = 1 + 2 * sum(self.apart)
        self.ahead = self.frames // 2 if symmetric else 0
        one = lambda inputs, outputs: nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs))
        self.expand = one(FEATURES + 4 * len(BONES), channels)
        self.along = nn.ModuleList(nn.Conv1d(channels, channels, 3, groups=channels, bias=False) for _ in self.apart)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in self.apart)
        self.wide = nn.ModuleList(one(channels, widening * channels) for _ in self.apart)
        self.narrow = nn.ModuleList(one(widening * channels, channels) for _ in self.apart)
        self.shrink = nn.Conv1d(channels, 4 * JOINTS + 3, 1)
        # They say nothing at first: with the weights of a network that has none, training goes on from there.
        self.long = nn.Parameter(torch.zeros(channels)) if means else None

    def silence(self):
        """Takes away what channels are multiplied with that were always the same in training, as those whose activation never fires are: divided
        by no spread at all, they would drown all others should they ever stir."""
        with torch.no_grad():
            for conv, norm in zip(self.along, self.norms):
                conv.weight[norm.running_var < STIRS] = 0
            if self.long is not None:
                self.long[self.norms[-1].running_var < STIRS] = 0

    def raw(self, x):
        # Channels last: on two cores that takes two thirds of the time.
        x = functional.relu(normalised(*self.expand, with_bones(x)))
        for conv, norm, wide, narrow, apart in zip(self.along, self.norms, self.wide, self.narrow, self.apart):
            count = x.shape[1] - 2 * apart
            y = sum(x[:, apart * tap:apart * tap + count] * weight for tap, weight in enumerate(conv.weight[:, 0].unbind(-1)))
            first = apart if self.ahead else 2 * apart
            x = x[:, first:first + count]
            if self.long is not None and conv is self.along[-1]:
                y = y + self.long * so_far(x, self.means)
            y = functional.relu(normalised(*wide, of_all(norm, y)))
            x = x + normalised(*narrow, self.dropout(y))
        return functional.linear(x, self.shrink.weight[..., 0], self.shrink.bias)


def of_all(norm, x):
    """Channels `(n, t, c)` normalised over everybody and all frames."""
    return norm(x.flatten(0, 1)).view_as(x)


def normalised(conv, norm, x):
    """What a convolution that sees one frame makes of channels `(n, t, c)`, normalised."""
    return of_all(norm, functional.linear(x, conv.weight[..., 0]))


@lru_cache(maxsize=8)
def shares(means, frames):
    """How much each frame counts in the mean up to each, `(means, frames, frames)`: a matrix each."""
    share = np.zeros((len(means), frames, frames), np.float32)
    for kind, longest in enumerate(means):
        for time in range(frames):
            rate = max(1 / (time + 1), 1 / longest)
            share[kind, time] = (1 - rate) * share[kind, time - 1]
            share[kind, time, time] = rate
    return torch.from_numpy(share)


def so_far(x, means):
    """Means `(n, t, c)` of channels `(n, t, c)` over the frames up to each: of all, and from the time on at which these are more than the
    channel's number of `means`, exponential ones."""
    kinds = x.unflatten(-1, (-1, len(means)))
    return torch.einsum("kts,nsck->ntck", shares(means, x.shape[1]).to(x), kinds).flatten(-2)


# Features in a mirror: whose each becomes, and with which sign: sides change, and what lies to the right of the middle, as up and motion may.
ACROSS = np.zeros(FEATURES, bool)
ACROSS[:BODY:3] = ACROSS[BODY] = ACROSS[BODY + 3] = True
MIRRORED = torch.from_numpy(np.r_[(3 * MIRROR[:, None] + np.arange(3)).ravel(), BODY:FEATURES]), torch.from_numpy(np.where(ACROSS, -1, 1)).float()


def mirrored(x):
    """Features `(..., FEATURES)` of the same people as a mirror would show them."""
    order, sign = (part.to(x.device) for part in MIRRORED)
    return x.index_select(-1, order) * sign


def of_both(one, other):
    """The mean of poses `(..., 23, 4)` and of those of mirrored people."""
    order, sign = torch.from_numpy(MIRROR).to(one.device), one.new_tensor([-0.5, 0.5, 0.5, 0.5])
    return 0.5 * one + other.index_select(-2, order) * sign


def from_both_sides(tell, x):
    """What is told of features as they are and mirrored, on average."""
    return of_both(tell(x), tell(mirrored(x)))


def with_bones(x):
    """Features with those of bones appended: where each points and how long it looks, and whether both its ends are seen."""
    body = x[..., :3 * JOINTS].unflatten(-1, (JOINTS, 3))
    one, other = (body[..., list(ends), :] for ends in zip(*BONES))
    both = ((one[..., 2:] > 0) & (other[..., 2:] > 0)).float()
    across = 2 * (one[..., :2] - other[..., :2]) * both  # doubled: about as spread as the joints themselves
    length = torch.sqrt((across ** 2).sum(-1, keepdim=True) + 1e-4) * both
    return torch.cat([x, torch.cat([across, length, both], -1).flatten(-2)], -1)


def roots(raw, frames):
    """Where the same last layer puts mid hips in the person camera, `(..., 3)`, in metres."""
    scale = SCALE * torch.exp(frames[..., -1])
    return torch.cat([raw[..., 4 * JOINTS + 1:], (0.5 * torch.exp(0.5 * raw[..., 4 * JOINTS]) / scale)[..., None]], -1)


def on_rays(raw, frames):
    """What the last layer tells, `(..., 4 * 23 + 3)`, as poses: a joint `z` behind the hips lies where its ray is at that depth.

    A feature is `(x / z) / scale`, so a person who spans `size` metres stands `size / scale` away. `size` and the place of the hips
    are told too, and how far each joint is off its ray, which is all there is for joints that are not seen.
    """
    off, log_scale = raw[..., :3 * JOINTS].unflatten(-1, (JOINTS, 3)), raw[..., 3 * JOINTS:4 * JOINTS, None]
    size, hips = 0.5 * torch.exp(0.5 * raw[..., 4 * JOINTS, None, None]), raw[..., None, 4 * JOINTS + 1:]
    rays = frames[..., :3 * JOINTS].unflatten(-1, (JOINTS, 3))[..., :2]
    scale = SCALE * torch.exp(frames[..., -1, None, None])
    depth = off[..., 2:]
    return torch.cat([rays * (size + scale * depth) - hips + off[..., :2], depth, log_scale], -1)


def laplace(output, target, known):
    """Negative log likelihood of a Laplace error of one scale per joint, plus the plain distance (MPJPE)."""
    error = torch.linalg.vector_norm(output[..., :3] - target, dim=-1)
    log_scale = output[..., 3].clamp(-6, 1)
    weight = known.float()
    # In three dimensions the density of |e| is e^2 exp(-e/b) / (2 b^3): hence the factor 3.
    likelihood = 3 * log_scale + error * torch.exp(-log_scale)
    return ((10 * error + 0.1 * likelihood) * weight).sum() / weight.sum(), (error * weight).sum() / weight.sum()
