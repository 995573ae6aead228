"""Lifting networks of other papers, to be compared with ours (`posetrain.study`): features in and poses out as in `posetrain.lifting`."""
import torch
from torch import nn
from torch.nn import functional

from .lifting import BONES, JOINTS, Lifting, on_rays, with_bones
from .views import FEATURES

INPUTS = FEATURES + 4 * len(BONES)


class ConvolutionNet(Lifting):
    """Dilated temporal convolutions (Pavllo et al. 2019, section 3): a convolution of kernel 3, then residual blocks of a dilated convolution
    and a 1x1 convolution; a receptive field of 3^(blocks+1) frames. Causal, unless it is `symmetric`."""

    def __init__(self, channels=384, blocks=2, dropout=0.0, symmetric=False):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.frames = 3 ** (blocks + 1)
        self.ahead = self.frames // 2 if symmetric else 0
        self.expand = nn.Conv1d(INPUTS, channels, 3, bias=False)
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


class StrideNet(Lifting):
    """Temporal convolutions of several strides side by side (Cheng et al. 2020, section 3.1): fast motion shows in neighbouring frames,
    slow motion in distant ones. Causal."""

    def __init__(self, channels=384, branch=128, strides=(1, 2, 3, 5, 7), dropout=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.frames = 3 + 4 * max(strides)
        self.expand, self.expand_norm = nn.Conv1d(INPUTS, channels, 3, bias=False), nn.BatchNorm1d(channels)
        conv = lambda inputs, apart: nn.Sequential(nn.Conv1d(inputs, branch, 3, dilation=apart, bias=False), nn.BatchNorm1d(branch),
                                                   nn.ReLU())
        self.first = nn.ModuleList(conv(channels, apart) for apart in strides)
        self.second = nn.ModuleList(conv(branch, apart) for apart in strides)
        self.merge, self.merge_norm = nn.Conv1d(branch * len(strides), channels, 1, bias=False), nn.BatchNorm1d(channels)
        self.shrink = nn.Conv1d(channels, 4 * JOINTS + 3, 1)

    def raw(self, x):
        windows = x.shape[1] - self.frames + 1
        frames = self.dropout(functional.relu(self.expand_norm(self.expand(with_bones(x).transpose(1, 2)))))
        seen = []
        for first, second in zip(self.first, self.second):
            near = self.dropout(first(frames))
            seen.append(self.dropout(second(near))[:, :, -windows:] + near[:, :, -windows:])
        merged = self.dropout(functional.relu(self.merge_norm(self.merge(torch.cat(seen, 1)))))
        return self.shrink(frames[:, :, -windows:] + merged).transpose(1, 2)


class Grouped(nn.Module):
    """A convolution of three taps in groups of channels, normalised and activated. Taps come side by side, `(n, f, 3, inputs)` ->
    `(n, f, outputs)`: one product of matrices a group, which CPUs do several times faster than strided grouped convolutions."""

    def __init__(self, inputs, outputs, groups):
        super().__init__()
        self.groups = groups
        bound = (3 * inputs / groups) ** -0.5
        self.weight = nn.Parameter(torch.empty(groups, 3 * inputs // groups, outputs // groups).uniform_(-bound, bound))
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, taps):
        n, frames = taps.shape[:2]
        rows = taps.reshape(n * frames, 3, self.groups, -1).permute(2, 0, 1, 3).flatten(2)
        out = rows.matmul(self.weight).transpose(0, 1).flatten(1)
        return functional.mish(self.norm(out)).unflatten(0, (n, frames))


class KernelAttention(nn.Module):
    """A layer that turns three tensors into one, by units of several dilations of which each channel takes its share (Liu et al. 2020,
    section 3.3): their sum, averaged over frames, tells the shares. `(n, 3 f, channels)` -> `(n, f, channels)`."""

    def __init__(self, inputs, channels, kernels, groups, reduced):
        super().__init__()
        self.units = nn.ModuleList(Grouped(inputs, channels, groups) for _ in range(kernels))
        self.reduce = nn.Linear(channels, reduced) if kernels > 1 else None
        self.shares = nn.Linear(reduced, kernels * channels) if kernels > 1 else None

    def forward(self, x):
        frames = x.shape[1]
        middle = torch.arange(frames // 3, device=x.device) * 3 + 1
        seen = []
        for number, unit in enumerate(self.units):
            taps = (middle[:, None] + (number + 1) * torch.tensor([-1, 0, 1], device=x.device)).clamp(0, frames - 1)
            seen.append(unit(x[:, taps.flatten()].unflatten(1, (-1, 3))))
        if self.reduce is None:
            return seen[0]
        seen = torch.stack(seen, 1)  # (n, kernels, f, channels)
        shares = self.shares(functional.mish(self.reduce(seen.sum(1).mean(1))))
        return (seen * shares.unflatten(-1, (len(self.units), -1)).softmax(1)[:, :, None]).sum(1)


class Point(nn.Module):
    """The linear projection unit: each tensor by itself."""

    def __init__(self, channels):
        super().__init__()
        self.linear, self.norm = nn.Linear(channels, channels, bias=False), nn.BatchNorm1d(channels)

    def forward(self, x):
        return functional.mish(self.norm(self.linear(x.flatten(0, 1)))).unflatten(0, x.shape[:2])


class AttentionNet(Lifting):
    """The attention network of Liu et al. (2020): each frame counts by how like the target frame it looks (temporal attention, equations
    2 and 3), each channel by kernel attention; with `dilated`, layers also see those two above (section 4). Without any of the
    three it is a temporal convolutional network with grouped convolutions.

    Every window is looked at by itself, as what counts depends on its target frame.
    """

    def __init__(self, channels=384, blocks=2, dropout=0.0, temporal=True, kernels=3, groups=8, reduced=64, dilated=True, symmetric=False):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.frames = 3 ** (blocks + 1)
        self.ahead = self.frames // 2 if symmetric else 0
        self.expand = KernelAttention(INPUTS, channels, 1, 1, reduced)
        self.wide = nn.ModuleList(KernelAttention(channels, channels, kernels, groups, reduced) for _ in range(blocks))
        self.point = nn.ModuleList(Point(channels) for _ in range(blocks))
        # From the tensors of one layer to those of the layer after the next, of which each is three apart.
        self.skips = nn.ModuleList(Grouped(channels, channels, groups) for _ in range(blocks - 1 if dilated else 0))
        sizes = [3 ** n for n in range(blocks + 1, -1, -1)]
        self.theta = nn.ModuleList(nn.Linear(more, fewer) for more, fewer in zip(sizes, sizes[1:-1])) if temporal else None
        self.shrink = nn.Linear(channels, 4 * JOINTS + 3)

    def raw(self, x):
        windows = x.unfold(1, self.frames, 1).transpose(-1, -2)  # (n, windows, frames, FEATURES)
        return self.run(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])

    def run(self, x):
        weights = self.likeness(x)
        x = self.dropout(self.expand(with_bones(x)))
        layers, own = [], 1 if self.ahead else 2
        for n, (wide, point) in enumerate(zip(self.wide, self.point)):
            if self.theta is not None:
                weights = torch.sigmoid(self.theta[n](weights))
                # Twice a sigmoid: at first every frame counts as it would without attention.
                x = 2 * weights[..., None] * x
            layers.append(x)
            kept = x[:, own::3]
            y = self.dropout(wide(x))
            if n and len(self.skips):
                y = y + self.skips[n - 1](layers[n - 1].unflatten(1, (-1, 3, 3))[:, :, :, own])
            x = kept + self.dropout(point(y))
        return self.shrink(x)[:, 0]

    def likeness(self, x):
        """Normalised cross-correlation of each frame's joints with those of the target frame, `(n, frames)` from 0 to 1."""
        joints = x[..., :3 * JOINTS].unflatten(-1, (JOINTS, 3))[..., :2].flatten(-2)
        target = joints[:, self.frames - 1 - self.ahead, :, None]
        return functional.normalize(joints, dim=-1).matmul(functional.normalize(target, dim=1))[..., 0].clamp(min=0)
