"""The lifting network: 2D over time -> 3D of the last frame, with an uncertainty per joint.

Dilated temporal convolutions of VideoPose3D (Pavllo et al. 2019, section 3): a convolution of kernel 3, then residual
blocks of a dilated convolution and a 1x1 convolution; causal, with a receptive field of 3^(blocks+1) frames. Two things are
told to it rather than left to be learned: how limbs lie and how long they look, and that a joint lies on its ray.
"""
import torch
from torch import nn
from torch.nn import functional

from .mocap import LIFT23
from .views import FEATURES, SCALE

JOINTS = len(LIFT23)
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
    """Causal, unless it is `symmetric`."""

    def __init__(self, channels=384, blocks=2, dropout=0.0, symmetric=False):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.frames = 3 ** (blocks + 1)
        self.ahead = self.frames // 2 if symmetric else 0
        self.expand = nn.Conv1d(FEATURES + 4 * len(BONES), channels, 3, bias=False)
        self.expand_norm = nn.BatchNorm1d(channels)
        self.wide = nn.ModuleList(nn.Conv1d(channels, channels, 3, bias=False) for _ in range(blocks))
        self.point = nn.ModuleList(nn.Conv1d(channels, channels, 1, bias=False) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(2 * blocks))
        self.shrink = nn.Conv1d(channels, 4 * JOINTS + 3, 1)

    def forward(self, x):
        # One output frame: strides give the same sums as dilations at a third of the work (section 3.4 of the paper).
        step = lambda conv, x, _: functional.conv1d(x, conv.weight, None, stride=3)
        own = slice(1 if self.ahead else 2, None, 3)
        return on_rays(self.run(x, step, lambda x, _: x[:, :, own]).float(), self.asked(x))[:, 0]

    def raw(self, x):
        step = lambda conv, x, apart: functional.conv1d(x, conv.weight, None, dilation=apart)
        own = lambda x, apart: x[:, :, apart:-apart] if self.ahead else x[:, :, 2 * apart:]
        return self.run(x, step, own)

    def run(self, sequence, step, own):
        x = with_bones(sequence).transpose(1, 2)
        x = self.dropout(functional.relu(self.expand_norm(step(self.expand, x, 1))))
        for n, (wide, point) in enumerate(zip(self.wide, self.point)):
            apart = 3 ** (n + 1)
            kept = own(x, apart)
            x = self.dropout(functional.relu(self.norms[2 * n](step(wide, x, apart))))
            x = kept + self.dropout(functional.relu(self.norms[2 * n + 1](point(x))))
        return self.shrink(x).transpose(1, 2)


def with_bones(x):
    """Features with those of bones appended: where each points and how long it looks, and whether both its ends are seen."""
    body = x[..., :3 * JOINTS].unflatten(-1, (JOINTS, 3))
    one, other = (body[..., list(ends), :] for ends in zip(*BONES))
    both = ((one[..., 2:] > 0) & (other[..., 2:] > 0)).float()
    across = 2 * (one[..., :2] - other[..., :2]) * both  # doubled: about as spread as the joints themselves
    length = torch.sqrt((across ** 2).sum(-1, keepdim=True) + 1e-4) * both
    return torch.cat([x, torch.cat([across, length, both], -1).flatten(-2)], -1)


class Streaming(nn.Module):
    """The same, frame after frame: `(n, FEATURES)`, and the last inputs of each convolution as it left them, -> `(n, 23, 4)`, and these
    for the next frame. Whoever comes into view is shown their first frame `frames - 1` times before, as a window would repeat it."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        apart = [1] + [3 ** (n + 1) for n in range(len(net.wide))]
        # Channels of a convolution, and the frames that it looks back.
        self.states = [(conv.in_channels, 2 * by) for conv, by in zip([net.expand, *net.wide], apart)]

    def forward(self, frame, *states):
        kept = []

        def step(conv, x, apart):
            held = torch.cat([states[len(kept)], x], -1)
            kept.append(held[..., 1:])
            # As one product of matrices for everybody.
            return functional.linear(held[..., ::apart].flatten(1), conv.weight.flatten(1))[..., None]
        raw = self.net.run(frame[:, None], step, lambda x, _: x)
        return on_rays(raw[:, 0].float(), frame), *kept


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
