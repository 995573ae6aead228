"""The lifting network: 2D over time -> 3D of the last frame, with an uncertainty per joint.

Dilated temporal convolutions of VideoPose3D (Pavllo et al. 2019, section 3): a convolution of kernel 3, then residual
blocks of a dilated convolution and a 1x1 convolution; causal, with a receptive field of 3^(blocks+1) frames.
"""
import torch
from torch import nn
from torch.nn import functional

from .views import FEATURES


class LiftNet(nn.Module):
    """`(n, frames, FEATURES)` -> `(n, 23, 4)`: x, y, z in metres about mid hips, and the log of their Laplace scale."""

    def __init__(self, channels=384, blocks=2, dropout=0.1, joints=23):
        super().__init__()
        self.joints = joints
        self.frames = 3 ** (blocks + 1)
        self.expand = nn.Conv1d(FEATURES, channels, 3, bias=False)
        self.expand_norm = nn.BatchNorm1d(channels)
        self.wide = nn.ModuleList(nn.Conv1d(channels, channels, 3, bias=False) for _ in range(blocks))
        self.point = nn.ModuleList(nn.Conv1d(channels, channels, 1, bias=False) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(2 * blocks))
        self.dropout = nn.Dropout(dropout)
        self.shrink = nn.Conv1d(channels, joints * 4, 1)

    def forward(self, x):
        # One output frame: strides give the same sums as dilations at a third of the work (section 3.4 of the paper).
        step = lambda conv, x, _: functional.conv1d(x, conv.weight, None, stride=3)
        return self.run(x, step, lambda x, _: x[:, :, 2::3])[:, 0]

    def every(self, x):
        """The same for every window of a longer sequence: `(n, t, FEATURES)` -> `(n, t - frames + 1, 23, 4)`."""
        step = lambda conv, x, apart: functional.conv1d(x, conv.weight, None, dilation=apart)
        return self.run(x, step, lambda x, apart: x[:, :, 2 * apart:])

    def run(self, x, step, newest):
        x = x.transpose(1, 2)
        x = self.dropout(functional.relu(self.expand_norm(step(self.expand, x, 1))))
        for n, (wide, point) in enumerate(zip(self.wide, self.point)):
            apart = 3 ** (n + 1)
            kept = newest(x, apart)
            x = self.dropout(functional.relu(self.norms[2 * n](step(wide, x, apart))))
            x = kept + self.dropout(functional.relu(self.norms[2 * n + 1](point(x))))
        x = self.shrink(x).transpose(1, 2)
        return x.reshape(x.shape[0], -1, self.joints, 4)


def laplace(output, target, known):
    """Negative log likelihood of a Laplace error of one scale per joint, plus the plain distance (MPJPE)."""
    error = torch.linalg.vector_norm(output[..., :3] - target, dim=-1)
    log_scale = output[..., 3].clamp(-6, 1)
    weight = known.float()
    # In three dimensions the density of |e| is e^2 exp(-e/b) / (2 b^3): hence the factor 3.
    likelihood = 3 * log_scale + error * torch.exp(-log_scale)
    return ((10 * error + 0.1 * likelihood) * weight).sum() / weight.sum(), (error * weight).sum() / weight.sum()
