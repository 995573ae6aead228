"""The two image networks: a person detector and a top-down keypoint network, sharing one backbone design.

Plain 3x3 residual blocks (He et al. 2016) with a feature pyramid. Dense rather than depth-wise convolutions: on a CPU
they run close to its arithmetic peak, and train several times faster for the same accuracy.
"""
import torch
from torch import nn
from torch.nn import functional


def conv(inputs, outputs, kernel=1, stride=1, groups=1, act=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if act else []))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(conv(width, width, 3), conv(width, width, 3, act=False))

    def forward(self, x):
        return functional.relu(x + self.body(x))


class Backbone(nn.Module):
    """Features at strides 4, 8, 16, 32 with `widths` channels and `depths` residual blocks each."""

    def __init__(self, widths, depths, stem):
        super().__init__()
        self.stem = conv(3, stem, 3, 2)
        stages, inputs = [], stem
        for width, depth in zip(widths, depths):
            stages.append(nn.Sequential(conv(inputs, width, 3, 2), *(Residual(width) for _ in range(depth))))
            inputs = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        x, out = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class Pyramid(nn.Module):
    """Top-down merge (Lin et al. 2017) of the backbone's features, down to stride `4 * 2**stop`."""

    def __init__(self, widths, merged, stop):
        super().__init__()
        self.stop = stop
        self.lateral = nn.ModuleList(conv(w, merged, act=False) for w in widths[stop:])
        self.smooth = nn.ModuleList(conv(merged, merged, 3) for _ in widths[stop:-1])

    def forward(self, features, between=None):
        """`between`: what else is done with the merged features of a level."""
        features = features[self.stop:]
        x = functional.relu(self.lateral[-1](features[-1]))
        for n in range(len(features) - 2, -1, -1):
            up = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.smooth[n](functional.relu(self.lateral[n](features[n]) + up))
            x = between[n](x) if between and n in between else x
        return x


class Normalised(nn.Module):
    """Takes RGB 0-255 and centres it, so that callers need no other normalisation."""

    def forward(self, x):
        return x * (1 / 58.0) - (118.0 / 58.0)


class KeypointNet(nn.Module):
    """RGB `(n, 3, S, S)` in 0-255 -> for every joint `(n, joints, S/4, S/4)` how much likelier it is in that cell than nowhere in
    the picture, as a logarithm: see `places`.

    Channels are multiples of 8, of which vector registers hold one or two; it is wide where pictures are small, which costs little.
    """

    def __init__(self, joints=25, widths=(24, 64, 128, 144), depths=(1, 1, 2, 2), merged=48):
        super().__init__()
        self.normal = Normalised()
        self.backbone = Backbone(widths, depths, stem=16)
        self.pyramid = Pyramid(widths, merged, 0)
        self.head = nn.Conv2d(merged, joints, 1)
        nn.init.constant_(self.head.bias, -6.0)

    def forward(self, x):
        return self.head(self.pyramid(self.backbone(self.normal(x))))


class PersonNet(nn.Module):
    """RGB `(n, 3, S, S)` in 0-255 -> `(n, 5, S/8, S/8)`: dx, dy, log w, log h in cells, and the score's logit."""

    def __init__(self, widths=(16, 32, 64, 96), depths=(0, 1, 2, 2), merged=48):
        super().__init__()
        self.normal = Normalised()
        self.backbone = Backbone(widths, depths, stem=12)
        self.pyramid = Pyramid(widths, merged, 1)
        self.score = nn.Sequential(conv(merged, merged, 3), nn.Conv2d(merged, 1, 1))
        self.box = nn.Sequential(conv(merged, merged, 3), nn.Conv2d(merged, 4, 1))
        nn.init.constant_(self.score[-1].bias, -4.0)

    def forward(self, x):
        merged = self.pyramid(self.backbone(self.normal(x)))
        return torch.cat([self.box(merged), self.score(merged)], 1)


class AppearanceNet(nn.Module):
    """RGB `(n, 3, 128, 64)` in 0-255, a box around somebody -> what they look like, `(n, 64)` of length 1."""

    def __init__(self, widths=(16, 24, 48, 72), depths=(0, 1, 1, 0), told=64):
        super().__init__()
        self.normal = Normalised()
        self.backbone = Backbone(widths, depths, stem=12)
        self.out = nn.Linear(2 * widths[-1], told)

    def forward(self, x):
        features = self.backbone(self.normal(x))[-1]
        # Upper and lower body by themselves: clothes differ.
        high, low = features.chunk(2, 2)
        return functional.normalize(self.out(torch.cat([high.mean((2, 3)), low.mean((2, 3))], 1)), dim=-1)


def places(logits):
    """Logarithms of the chances that each joint is in each cell, `(n, joints, cells)`, and that it is in none, `(n, joints, 1)`."""
    flat = logits.flatten(2)
    both = functional.log_softmax(torch.cat([flat, torch.zeros_like(flat[..., :1])], -1), -1)
    return both[..., :-1], both[..., -1:]


def near(logits, reach=1):
    """The chance that a joint is within `reach` cells, `(n, joints, rows, columns)`: what a peak's height should tell."""
    side = 2 * reach + 1
    inside = places(logits)[0].exp().unflatten(-1, logits.shape[-2:])
    return functional.avg_pool2d(inside, side, 1, reach) * side ** 2


def cross_entropy(logits, target, weight):
    """Of where joints are: `target` `(n, joints, rows, columns)` sums to 1 over the cells, or to 0 where a joint is outside;
    joints of `weight` 0 are not known."""
    inside, nowhere = places(logits.float())
    target = target.flatten(2)
    loss = -(target * inside).sum(-1) - (1 - target.sum(-1)) * nowhere[..., 0]
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def focal(logits, target, weight):
    """Penalty-reduced focal loss of CenterNet (Zhou et al. 2019, eq. 1), summed, per positive."""
    logits = logits.float()
    positive = target > 0.99
    log_p, log_q = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    p = torch.exp(log_p)
    loss = torch.where(positive, -((1 - p) ** 2) * log_p, -((1 - target) ** 4) * p ** 2 * log_q)
    return (loss * weight).sum() / positive.sum().clamp(min=1)
