"""A causal lifting network as it is shipped: shown one frame after the other.

A frame is so little work that it counts how many operations it takes, whatever they are of. So all that is linear is folded into products
of matrices; people as they are and mirrored go through each of these together, and what is kept of the frames before, for all layers, is
one tensor.
"""
import math

import torch
from torch import nn
from torch.nn import functional

from .lifting import BONES, JOINTS, MIRRORED
from .views import BODY, FEATURES, MIRROR, SCALE

# Columns of what `lifting.with_bones` appends to features, four for each bone, here all of a kind side by side.
OF_A_KIND = [*range(FEATURES), *(FEATURES + 4 * bone + kind for kind in range(4) for bone in range(len(BONES)))]
# Which features are how far joints lie to the right, how far down, and how sure they are.
RIGHT, DOWN, SURE = (range(axis, BODY, 3) for axis in range(3))


def in_a_mirror():
    """What makes features and bones `(n, columns)` of a kind those of mirrored people: a matrix."""
    order, sign = MIRRORED
    order, sign = order.tolist(), sign.tolist()
    mirrored = [tuple(int(MIRROR[end]) for end in bone) for bone in BONES]
    turned = [bone not in BONES for bone in mirrored]  # the mirrored bone points the other way
    whose = [BONES.index(bone[::-1] if other_way else bone) for bone, other_way in zip(mirrored, turned)]
    signs = ([1 if other_way else -1 for other_way in turned], [-1 if other_way else 1 for other_way in turned], [1] * len(BONES), [1] * len(BONES))
    for kind, of_bones in enumerate(signs):
        order += [FEATURES + kind * len(BONES) + other for other in whose]
        sign += of_bones
    matrix = torch.zeros(len(order), len(order))
    matrix[order, range(len(order))] = torch.tensor(sign)
    return matrix


def scale_of(norm):
    return norm.weight * torch.rsqrt(norm.running_var + norm.eps)


def shift_of(norm):
    return norm.bias - norm.running_mean * scale_of(norm)


class Product(nn.Module):
    """Weights `(inputs, outputs)`, and what is added. Not a linear layer: that is written as an operation for which rten arranges weights anew in
    each frame, which takes it five times as long."""

    def __init__(self, weight, bias):
        super().__init__()
        self.register_buffer("weight", weight.detach().T.contiguous())
        self.register_buffer("bias", bias.detach())

    def forward(self, x):
        return x @ self.weight + self.bias


def folded(conv, norm):
    """Weights `(outputs, inputs)` and what is added of a convolution that sees one frame, with the normalisation after it."""
    return conv.weight[..., 0] * scale_of(norm)[:, None], shift_of(norm)


class Streaming(nn.Module):
    """`LiftNet` frame after frame: `(n, FEATURES)`, and what it left of the frames before (see `states`), -> `(n, 23, 4)`, and what to give with
    the next frame. Whoever comes into view is shown with states of nought: for them every frame before was like their first.

    Everybody is shown as they are and mirrored, and the mean of both is told: where one of the two is taken in, the other often is not."""

    def __init__(self, net):
        super().__init__()
        if net.ahead:
            raise ValueError("a network that looks ahead cannot be shown one frame after the other")
        self.channels, self.apart, self.means = net.shrink.in_channels, net.apart, net.means
        layers, self.rows = len(net.apart), sum(2 * apart for apart in net.apart)
        # Of people as they are and mirrored: frames shown so far; the last inputs of each layer, one layer's after the other's; the first ones;
        # and means.
        self.states = [(2, 1), (2, self.rows, self.channels), (2, layers, self.channels), *[(2, self.channels)] * bool(net.means)]
        with torch.no_grad():
            self.fold(net)
        fewest = [1 / longest for longest in net.means] * (self.channels // max(len(net.means), 1))
        self.register_buffer("fewest", torch.tensor(fewest))
        self.look_back()

    def fold(self, net):
        """Folds all that is linear."""
        ends = torch.zeros(FEATURES, 2, len(BONES))
        for bone, (one, other) in enumerate(BONES):
            for axis, of in enumerate((RIGHT, DOWN)):
                ends[of[one], axis, bone], ends[of[other], axis, bone] = 2, -2
        self.register_buffer("ends", ends.flatten(1))
        weight, bias = folded(*net.expand)
        weight = weight[:, OF_A_KIND]
        self.expand = Product(torch.cat([weight, weight @ in_a_mirror().T]), bias.repeat(2))
        # What the narrow layers add to everybody alike is added where it is read.
        added, taps, biases = torch.zeros(self.channels), [], []
        self.wide, self.narrow = nn.ModuleList(), nn.ParameterList()
        for conv, norm, wide, narrow in zip(net.along, net.norms, net.wide, net.narrow):
            tap = conv.weight[:, 0].T * scale_of(norm)
            taps.append(tap), biases.append(shift_of(norm) + added * tap.sum(0))
            self.wide.append(Product(*folded(*wide)))
            weight, shift = folded(*narrow)
            self.narrow.append(nn.Parameter(weight.T.contiguous(), requires_grad=False))
            before, added = added, added + shift
        if net.long is not None:
            self.register_buffer("long", net.long * scale_of(net.norms[-1]))
            biases[-1] = biases[-1] + before * self.long
        taps = torch.stack(taps)  # (layers, 3, channels)
        self.register_buffer("earlier", taps[:, :2].transpose(0, 1).flatten(0, 1).contiguous())
        self.register_buffer("now", taps[:, 2].flatten())
        self.register_buffer("at_first", taps.sum(1).flatten())
        self.register_buffer("bias", torch.cat(biases))
        self.register_buffer("added", added)
        self.shrink = Product(*self.last_of_both(net.shrink.weight[..., 0], net.shrink.bias))

    @staticmethod
    def last_of_both(weight, bias):
        """The last layer of `LiftNet`, of people as they are and mirrored: how far joints are off their rays on average, to the right, then down,
        how far behind the hips, and the logs of their scales; and the logs of a quarter of how large both are, in metres."""
        def of_joints_and_size(weight):
            off, log_scale, size, hips = weight.split([3 * JOINTS, JOINTS, 1, 2])
            right, down, behind = off.unflatten(0, (JOINTS, 3)).unbind(1)
            return torch.stack([right - hips[0], down - hips[1], behind, log_scale]), size / 2
        (own, own_size), sides = of_joints_and_size(weight), torch.tensor([-1.0, 1, 1, 1])[:, None, None]
        own_bias, size_bias = of_joints_and_size(bias[:, None])
        nothing = torch.zeros_like(own_size)
        turn = lambda joints: joints[:, MIRROR.tolist()] * sides
        joints = torch.cat([own, turn(own)], -1).flatten(0, 1) / 2
        sizes = torch.cat([torch.cat([own_size, nothing], -1), torch.cat([nothing, own_size], -1)])
        return torch.cat([joints, sizes]), torch.cat([(own_bias + turn(own_bias)).flatten() / 2, (size_bias + math.log(0.25)).flatten().repeat(2)])

    def look_back(self):
        """Which of the kept rows layers look at, which are kept of these and of a frame more, and how many frames there have to be for them."""
        starts = [sum(2 * apart for apart in self.apart[:layer]) for layer in range(len(self.apart))]
        seen = [start + tap * apart for tap in (0, 1) for start, apart in zip(starts, self.apart)]
        following = [row for layer, (start, apart) in enumerate(zip(starts, self.apart))
                     for row in (*range(start + 1, start + 2 * apart), self.rows + layer)]
        needed = [(2 - tap) * apart for tap in (0, 1) for apart in self.apart]
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        self.register_buffer("following", torch.tensor(following), persistent=False)
        self.register_buffer("needed", torch.tensor(needed, dtype=torch.float32)[:, None])

    def beside_bones(self, frame):
        """Features and those of bones, of a kind side by side (see `lifting.with_bones`)."""
        one, other = (frame[:, [SURE[bone[end]] for bone in BONES]] for end in (0, 1))
        both = (torch.minimum(one, other) > 0).to(frame)
        right, down = (frame @ self.ends).split(len(BONES), -1)
        length = torch.sqrt(right * right + down * down + 1e-4)
        return torch.cat([frame, right * both, down * both, length * both, both], -1)

    def forward(self, frame, shown, kept, first, *mean):
        layers, channels = len(self.apart), self.channels
        # Mirrored people are people of their own from here on.
        shown, kept, first = shown.reshape(-1, 1), kept.reshape(-1, self.rows, channels), first.reshape(-1, layers, channels)
        x = functional.relu(self.expand(self.beside_bones(frame))).reshape(-1, channels)
        is_first = shown == 0
        taps = torch.where(shown[:, :, None] >= self.needed, kept[:, self.seen], torch.cat([first, first], 1)) * self.earlier
        earlier = (taps[:, :layers] + taps[:, layers:]).reshape(-1, layers * channels) + self.bias
        now = torch.where(is_first, self.at_first, self.now)
        inputs = []
        for layer, (before, weight, wide, narrow) in enumerate(zip(earlier.split(channels, 1), now.split(channels, 1), self.wide, self.narrow)):
            inputs.append(x)
            y = before + x * weight
            if self.means and layer == layers - 1:
                # At the first frame all of the mean is new.
                so_far = mean[0].reshape(-1, channels)
                so_far = so_far + torch.maximum(1 / (shown + 1), self.fewest) * (x - so_far)
                y = y + so_far * self.long
                mean = [so_far]
            x = x + functional.relu(wide(y)) @ narrow
        told = self.shrink((x + self.added).reshape(-1, 2 * channels))
        inputs = torch.cat(inputs, 1).reshape(-1, layers, channels)
        left = [shown + 1, torch.cat([kept, inputs], 1)[:, self.following], torch.where(is_first[:, :, None], inputs, first), *mean]
        return self.poses(told, frame), *(state.reshape(-1, *shape) for state, shape in zip(left, self.states))

    @staticmethod
    def poses(told, frame):
        """What the last layer tells of both sides, put onto rays (see `lifting.on_rays`)."""
        off, behind, log_scale, sizes = told.split([2 * JOINTS, JOINTS, JOINTS, 2], -1)
        far = behind * torch.exp(frame[:, -1:] + math.log(SCALE)) + torch.exp(sizes).sum(-1, keepdim=True)
        rays = frame[:, [*RIGHT, *DOWN]] * torch.cat([far, far], -1)
        return torch.cat([rays + off, behind, log_scale], -1).reshape(-1, 4, JOINTS).transpose(1, 2)


def unfold(net, read):
    """Gives a network the weights of its streaming form, which `read` reads by their names, its normalisations being none. What its last layer
    adds is the mean of both sides', and where mid hips are (`placed`) it does not know: the streaming form tells neither."""
    channels, layers = net.shrink.in_channels, len(net.apart)
    net.expand[0].weight[:, OF_A_KIND, 0] = read("expand.weight").T[:channels]
    net.expand[1].bias.copy_(read("expand.bias")[:channels])
    taps = torch.cat([read("earlier").unflatten(0, (2, layers)), read("now").view(1, layers, channels)])
    for layer, (conv, norm, wide, narrow, bias) in enumerate(zip(net.along, net.norms, net.wide, net.narrow, read("bias").split(channels))):
        conv.weight[:, 0] = taps[:, layer].T
        norm.bias.copy_(bias)
        wide[0].weight[..., 0], narrow[0].weight[..., 0] = read(f"wide.{layer}.weight").T, read(f"narrow.{layer}").T
        wide[1].bias.copy_(read(f"wide.{layer}.bias")), narrow[1].bias.zero_()
    net.narrow[-1][1].bias.copy_(read("added"))

    def last(joints, size):
        right, down, behind, log_scale = joints.unflatten(0, (4, JOINTS))
        return torch.cat([torch.stack([right, down, behind], 1).flatten(0, 1), log_scale, 2 * size, torch.zeros_like(joints[:2])])
    (joints, size, _), bias = read("shrink.weight").T[:, :channels].split([4 * JOINTS, 1, 1]), read("shrink.bias")
    net.shrink.weight[..., 0] = last(2 * joints, size)
    net.shrink.bias.copy_(last(bias[:4 * JOINTS], bias[4 * JOINTS:-1] - math.log(0.25)))
