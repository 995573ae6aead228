"""Whether a motion is a human's: a discriminator of kinematic chains, and what it says as an energy with its gradient.

Spatial and temporal KCS (Cheng et al. 2020, section 3.2): a frame's bones are the columns of `B`; `B^T B` tells their lengths and the
angles between them, and how it differs from that of `INTERVAL` frames before how these change (equation 4). Both, and the joints,
go through temporal convolutions.
"""
import torch
from torch import nn
from torch.nn import functional

from .mocap import AT, LIFT23, LIMBS

KCS_BONES = [(AT["left_hip"], AT["right_hip"]), (AT["left_shoulder"], AT["right_shoulder"])] + [
    (AT[f"{side}_{a}"], AT[f"{side}_{b}"]) for side in ("left", "right")
    for a, b in (("hip", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))]
INTERVAL = 3
SLOPE = 0.2


class Plausible(nn.Module):
    """Poses `(n, frames, 23, 3)` in metres about mid hips -> a logit `(n,)`, higher for motions as mocap has them; where it is not
    `temporal`, for poses as mocap has them, each by itself."""

    def __init__(self, frames=8, temporal=True, channels=96):
        super().__init__()
        self.frames, self.temporal = frames, temporal
        pairs = len(KCS_BONES) * (len(KCS_BONES) + 1) // 2
        inputs = pairs * (2 if temporal else 1) + 3 * len(LIMBS)
        reach = 3 if temporal else 1  # frames
        self.first, self.second = nn.Conv1d(inputs, channels, reach), nn.Conv1d(channels, channels, reach)
        self.last = nn.Linear(channels, 1)
        rows, columns = torch.triu_indices(len(KCS_BONES), len(KCS_BONES))
        self.register_buffer("rows", rows), self.register_buffer("columns", columns)
        bones = torch.zeros(len(LIFT23), len(KCS_BONES))
        for bone, (one, other) in enumerate(KCS_BONES):
            bones[one, bone], bones[other, bone] = -1, 1
        self.register_buffer("bones", bones)

    def chains(self, poses):
        """`B` `(n, frames, 3, bones)`, in units of 0.3 m, and `B^T B`."""
        bones = poses.transpose(-1, -2).matmul(self.bones) / 0.3
        return bones, bones.transpose(-1, -2).matmul(bones)

    def features(self, poses):
        spatial = self.chains(poses)[1][..., self.rows, self.columns]
        parts = [spatial[:, INTERVAL:], 2 * poses[:, INTERVAL:, LIMBS].flatten(2)]
        if self.temporal:
            parts.append(4 * (spatial[:, INTERVAL:] - spatial[:, :-INTERVAL]))
        return torch.cat(parts, -1).transpose(1, 2)

    def layers(self, features):
        first = self.first(features)
        second = self.second(functional.leaky_relu(first, SLOPE))
        return first, second, self.last(functional.leaky_relu(second, SLOPE).mean(-1))[:, 0]

    def forward(self, poses):
        return self.layers(self.features(poses))[2]


class Energy(nn.Module):
    """What a discriminator says as an energy `-log D` `(n,)`, low for plausible motions, and its gradient with respect to the poses
    `(n, frames, 23, 3)`, written out, as inference engines do not differentiate."""

    def __init__(self, plausible):
        super().__init__()
        self.plausible = plausible

    def forward(self, poses):
        net = self.plausible
        bones, _ = net.chains(poses)
        first, second, logit = net.layers(net.features(poses))
        energy = functional.softplus(-logit)

        # Back through the layers, from the last to the first.
        of_logit = torch.sigmoid(logit) - 1
        leak = lambda x: torch.where(x > 0, 1.0, SLOPE)
        of_second = of_logit[:, None, None] * net.last.weight[:, :, None] / second.shape[-1] * leak(second)
        of_first = functional.conv_transpose1d(of_second, net.second.weight) * leak(first)
        of_features = functional.conv_transpose1d(of_first, net.first.weight).transpose(1, 2)

        pairs, body = len(net.rows), 3 * len(LIMBS)
        late = of_features[..., :pairs]
        early = torch.zeros_like(late)
        if net.temporal:
            moved = 4 * of_features[..., pairs + body:]
            late, early = late + moved, -moved
        before = torch.zeros_like(late[:, :INTERVAL])
        of_spatial = torch.cat([before, late], 1) + torch.cat([early, before], 1)
        # d tr(G^T B^T B) / dB = B (G + G^T), G being upper triangular: as a product, since engines know no scatter into triangles.
        spread = torch.zeros(pairs, len(KCS_BONES), len(KCS_BONES))
        spread[torch.arange(pairs), net.rows, net.columns] += 1
        spread[torch.arange(pairs), net.columns, net.rows] += 1
        both = of_spatial.matmul(spread.flatten(1)).unflatten(-1, (len(KCS_BONES), len(KCS_BONES)))
        gradient = bones.matmul(both).matmul(net.bones.T).transpose(-1, -2) / 0.3
        of_body = torch.cat([torch.zeros_like(before[..., :1]).expand(-1, -1, body), 2 * of_features[..., pairs:pairs + body]], 1)
        place = torch.eye(len(LIFT23))[LIMBS]
        return energy, gradient + of_body.unflatten(-1, (len(LIMBS), 3)).transpose(-1, -2).matmul(place).transpose(-1, -2)


def turned(poses):
    """Poses seen from anywhere, upright or nearly (equation 5)."""
    n = len(poses)
    yaw, (pitch, roll) = (torch.rand(n) * 2 - 1) * torch.pi, (torch.rand(2, n) * 2 - 1) * 0.2 * torch.pi
    axes = []
    for axis, angle in ((1, yaw), (0, pitch), (2, roll)):
        c, s, matrix = torch.cos(angle), torch.sin(angle), torch.eye(3).repeat(n, 1, 1)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        matrix[:, a, a], matrix[:, a, b], matrix[:, b, a], matrix[:, b, b] = c, -s, s, c
        axes.append(matrix)
    turn = (axes[1] @ axes[2] @ axes[0]).to(poses.device)
    return poses.matmul(turn[:, None])
