"""The consistent factorization network: a pose is a canonical one, of a hierarchical dictionary, times a camera's rotation; learned from
pairs of 2D poses, without any 3D (the consistent factorization method, sections 4.3 to 4.6). Projection is orthographic; poses have no
scale.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .lifting import JOINTS
from .loop import DEVICE, tensor
from .mocap import AT
from .views import BODY, HIPS, Views

LEVELS = (125, 60, 25, 10)  # codes, from the first level of the dictionary to the last


def rodrigues(turn):
    """Rotations `(n, 3, 3)` of exponential coordinates `(n, 3)`."""
    zero = torch.zeros_like(turn[:, 0])
    x, y, z = turn.unbind(-1)
    return torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3)))


class Dictionary(nn.Module):
    """Poses of codes (equation 4.6), and codes and rotations of 2D poses, roughly (4.5), by the same weights."""

    def __init__(self):
        super().__init__()
        self.pose = nn.Parameter(torch.randn(JOINTS, 3, LEVELS[0]) * 0.1)
        self.levels = nn.ParameterList(nn.Parameter(torch.randn(more, fewer) / fewer ** 0.5) for more, fewer in zip(LEVELS, LEVELS[1:]))
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(more)) for more in LEVELS[:-1])
        self.down = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in LEVELS)
        self.code, self.turn = nn.Linear(6 * LEVELS[-1], LEVELS[-1]), nn.Linear(6 * LEVELS[-1], 3)

    def decode(self, code):
        for level, bias in zip(reversed(self.levels), reversed(self.up)):
            code = functional.relu(code @ level.T - bias)
        return torch.einsum("jak,nk->nja", self.pose, code)

    def encode(self, flat):
        blocks = functional.relu(torch.einsum("jak,njb->nkab", self.pose, flat) - self.down[0][:, None, None])
        for level, bias in zip(self.levels, self.down[1:]):
            blocks = functional.relu(torch.einsum("kl,nkab->nlab", level, blocks) - bias[:, None, None])
        return functional.relu(self.code(blocks.flatten(1))), self.turn(blocks.flatten(1))


class Factorization(nn.Module):
    """2D poses `(n, 23, 3)`, x and y about mid hips in units of their spread and whether they are seen -> canonical poses `(n, 23, 3)` and
    rotations `(n, 3, 3)`: `canonical @ rotation` is the pose before the camera."""

    frames, ahead = 1, 0

    def __init__(self, dictionary, width=512, blocks=4, dropout=0.1):
        super().__init__()
        self.dictionary = dictionary
        self.first = nn.Linear(3 * JOINTS, width)
        layer = lambda: nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout))
        self.blocks = nn.ModuleList(nn.Sequential(layer(), layer()) for _ in range(blocks))
        head = lambda outputs: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))
        self.code, self.turn = head(LEVELS[-1]), head(3)

    def forward(self, poses):
        x = functional.relu(self.first(poses.flatten(1)))
        for block in self.blocks:
            x = x + block(x)
        return self.dictionary.decode(functional.relu(self.code(x))), rodrigues(self.turn(x))


def flat(features):
    """2D poses `(n, 23, 3)` of the features of one frame each."""
    body = features[:, 0, :BODY].reshape(-1, JOINTS, 3)
    seen = body[..., 2:] > 0
    about = (body[..., :2] - body[:, HIPS, :2].mean(1, keepdims=True)) * seen
    spread = np.linalg.norm(about, axis=-1).sum(-1) / np.maximum(seen[..., 0].sum(-1), 1)
    return np.concatenate([about / (spread[:, None, None] + 1e-4), seen], -1).astype(np.float32)


def off(canonical, turn, poses):
    seen = poses[..., 2]
    return (torch.linalg.vector_norm((canonical @ turn)[..., :2] - poses[..., :2], dim=-1) * seen).sum() / seen.sum()


def train(recipe, clips):
    """Trains the dictionary, then the network (section 4.6)."""
    torch.manual_seed(recipe["seed"])
    views = Views(clips, 1, seed=recipe["seed"], lens=0, late=0)
    draw = lambda: [tensor(flat(camera[0])) for camera in views.pairs(recipe["batch"])[:2]]
    dictionary = Dictionary().to(DEVICE)
    optimiser = torch.optim.Adam(dictionary.parameters(), 1e-3)
    for _ in range(recipe["steps"] // 4):
        poses = torch.cat(draw())
        code, turn = dictionary.encode(poses[..., :2])
        loss = off(dictionary.decode(code), rodrigues(turn), poses)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    net = Factorization(dictionary).to(DEVICE)
    slow = set(dictionary.parameters())
    quick = [part for part in net.parameters() if part not in slow]
    optimiser = torch.optim.Adam([{"params": quick, "lr": 1e-3}, {"params": list(slow), "lr": 2e-4}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe["steps"])
    for step in range(recipe["steps"]):
        one, other = draw()
        canonical, turn = net(torch.cat([one, other]))
        first, second = canonical.chunk(2)
        seen = (one[..., 2] * other[..., 2])
        same = (torch.linalg.vector_norm(first - second, dim=-1) * seen).sum() / seen.sum()
        loss = off(canonical, turn, torch.cat([one, other])) + recipe["consistency"] * same
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
        if step % 500 == 0:
            print(f"factorization, step {step}: {loss.item():.3f}, of which views differ by {same.item():.3f}", flush=True)
    return net


def lift(net, features):
    """Poses `(n, 23, 3)` before the camera, without a scale. Orthographic views tell nobody from their mirror image in depth: of both, the
    one is taken whose toes are before its heels."""
    net.eval()
    with torch.no_grad():
        canonical, turn = net(tensor(flat(features)))
    poses = (canonical @ turn).cpu().numpy()
    ahead = 0
    for side in ("left", "right"):
        across = poses[:, AT["left_hip"]] - poses[:, AT["right_hip"]]
        up = poses[:, [AT["left_shoulder"], AT["right_shoulder"]]].mean(1)
        toe = poses[:, AT[f"{side}_foot_index"]] - poses[:, AT[f"{side}_heel"]]
        ahead += np.einsum("ni,ni->n", np.cross(across, up), toe)
    # The whole network has one handedness.
    poses = poses * np.array([1, 1, np.sign(np.median(ahead)) or 1])
    return poses - poses[:, HIPS].mean(1, keepdims=True)
