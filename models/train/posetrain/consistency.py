"""A keypoint network that remembers: multi-scale temporal consistency exploration (Li et al. 2020, "Exploring temporal consistency for
human pose estimation in videos"; equations in brackets are those of Y. Li's thesis, chapter 2).

What the frames before showed is kept as hidden states. They are moved to where things are now, by an offset field that is learned, where
there is one, and, as the crop follows the person, by how the crop moved; then they are merged with what is seen now, by the gates of a
convolutional LSTM.
"""
import torch
from torch import nn
from torch.nn import functional

from .pictures import inverse
from .vision import KeypointNet, conv

DILATIONS = (0, 1, 2, 4)  # of the scales; the first looks at single cells


class Consistency(nn.Module):
    """Makes features of frames consistent with those of the frames before, and, where a clip is at hand, of those after: the same cell goes
    through it backwards, and what it kept of a frame then is told with that frame.

    Without `offsets`, or with fewer `dilations`, one sees what these bring.
    """

    def __init__(self, channels, told=24, dilations=DILATIONS, offsets=True):
        super().__init__()
        self.told, self.scales, self.dilations = told, len(dilations), tuple(dilations)
        self.project = conv(channels, told)
        self.views = nn.ModuleList(nn.Conv2d(told, told, 3 if by else 1, padding=by, dilation=max(by, 1)) for by in dilations)
        # Each scale by itself.
        each = lambda outputs, bias: nn.Conv2d(self.scales * told, self.scales * outputs, 3, padding=1, groups=self.scales, bias=bias)
        self.offsets = each(2, True) if offsets else None
        self.gates_seen, self.gates_kept = each(4 * told, True), each(4 * told, False)
        self.out = nn.Conv2d(self.scales * told, channels, 1)
        self.out_later = nn.Conv2d(self.scales * told, channels, 1, bias=False)
        # At first nothing moves by itself, and the network says what it says of single frames.
        for layer in filter(None, (self.offsets, self.out, self.out_later)):
            nn.init.zeros_(layer.weight)
        for layer in filter(None, (self.offsets, self.out)):
            nn.init.zeros_(layer.bias)

    def parts(self, scales, offsets=True):
        """The same with some of its scales, by their numbers, or without its offset field, where it has one; sharing no weights."""
        offsets = offsets and self.offsets is not None
        less = Consistency(self.out.out_channels, self.told, [self.dilations[scale] for scale in scales], offsets)
        less.project.load_state_dict(self.project.state_dict())
        for view, scale in zip(less.views, scales):
            view.load_state_dict(self.views[scale].state_dict())
        # Scales lie one after the other, of the outputs of what each has of its own, and of the inputs of what they tell together.
        own = [(less.gates_seen, self.gates_seen), (less.gates_kept, self.gates_kept)] + [(less.offsets, self.offsets)] * offsets
        pairs = [(of, whole, 0) for one, other in own for of, whole in zip(one.parameters(), other.parameters())]
        pairs += [(less.out.weight, self.out.weight, 1), (less.out_later.weight, self.out_later.weight, 1)]
        chosen = torch.tensor(scales, device=self.out.weight.device)
        with torch.no_grad():
            for of, whole, along in pairs:
                of.copy_(whole.unflatten(along, (self.scales, -1)).index_select(along, chosen).flatten(along, along + 1))
            less.out.bias.copy_(self.out.bias)
        return less

    @property
    def kept(self):
        """Channels of the states: the hidden ones and the cells of all scales."""
        return 2 * self.scales * self.told

    def look(self, x):
        """What features `(n, channels, c, c)` tell the gates at all scales (equation 2.11)."""
        projected = self.project(x)
        return self.gates_seen(torch.cat([view(projected) for view in self.views], 1))

    def remember(self, gates, states, where):
        """What a frame tells the gates, the states `(n, kept, c, c)` of the frame next to it, and where each cell was there `(n, c, c, 2)`, from
        -1 to 1 over the crop -> the states of this frame. In the first frame states are 0."""
        hidden, cell = states.chunk(2, 1)
        apart = lambda part: part.unflatten(1, (self.scales, -1)).flatten(0, 1)
        grid = where.repeat_interleave(self.scales, 0)
        if self.offsets is not None:
            # Where in the state each cell of now is to be read: by the crop, and by the offset field there (2.4).
            shift = functional.grid_sample(self.offsets(hidden), where, align_corners=False)
            grid = grid + apart(shift).permute(0, 2, 3, 1) * (2 / gates.shape[-1])
        moved = functional.grid_sample(torch.cat([apart(hidden), apart(cell)], 1), grid, align_corners=False)
        hidden, cell = (part.unflatten(0, (-1, self.scales)).flatten(1, 2) for part in moved.chunk(2, 1))
        gates = (gates + self.gates_kept(hidden)).unflatten(1, (self.scales, 4, self.told)).unbind(2)
        let_in, keep, tell, new = (gate.flatten(1, 2) for gate in gates)  # equations 2.8
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(let_in) * torch.tanh(new)
        return torch.cat([torch.sigmoid(tell) * torch.tanh(cell), cell], 1)

    def consistent(self, x, states, later=None):
        """Features of a frame with what its states tell, and those of the way back (2.10), which are 0 where nothing is known of later
        frames."""
        hidden = lambda states: states.chunk(2, 1)[0]
        x = x + self.out(hidden(states))
        return x if later is None else x + self.out_later(hidden(later))

    def forward(self, x, states, where, later):
        """A frame's features, the states of the frame next to it, where each cell was there, and what is known on the way back -> its features,
        consistent, and its states."""
        states = self.remember(self.look(x), states, where)
        return self.consistent(x, states, later), states


def where_before(moved, cells):
    """Where in the crop before each cell was, `(n, cells, cells, 2)` from -1 to 1, by crop_before_from_crop `(n, 2, 3)` of coordinates from -1
    to 1."""
    at = (torch.arange(cells, device=moved.device, dtype=moved.dtype) * 2 + 1) / cells - 1
    grid = torch.stack([at.expand(cells, cells), at[:, None].expand(cells, cells), torch.ones_like(at).expand(cells, cells)], -1)
    return (grid.flatten(0, 1) @ moved.transpose(1, 2)).unflatten(1, (cells, cells))


def on_the_way_back(moved):
    """crop_before_from_crop `(n, frames, 2, 3)` of a clip, for its frames from the last to the first: crop_after_from_crop. What is said of the
    last one, with which the way begins, does not matter: nothing is known there."""
    return torch.cat([inverse(moved[:, 1:]), moved[:, :1]], 1).flip(1)


class VideoNet(nn.Module):
    """A keypoint network with consistency where its features are 16 pixels apart. It stays as it is, unless the `whole` is trained; the
    means and spreads by which its channels are normalised stay in any case."""

    LEVEL = 2  # of the pyramid

    def __init__(self, net=None, whole=False, **how):
        super().__init__()
        self.net = (net or KeypointNet()).requires_grad_(whole)
        self.consistency = Consistency(self.net.pyramid.smooth[0][0].out_channels, **how)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.net.eval()
        return self

    def forward(self, image, states, moved, later):
        """A frame `(n, 3, S, S)`, states `(n, kept, S / 16, S / 16)` of the frame before, crop_before_from_crop `(n, 2, 3)` of coordinates
        from -1 to 1, and the states that were told of this frame on the way back, or 0 -> logits as `KeypointNet` has them, and states.

        On the way back, the frame before is the next one."""
        kept = []

        def consistent(x):
            x, told = self.consistency(x, states, where_before(moved, x.shape[-1]), later)
            kept.append(told)
            return x
        features = self.net.backbone(self.net.normal(image))
        return self.net.head(self.net.pyramid(features, {self.LEVEL: consistent})), kept[0]

    def every(self, images, moved, both_ways=False):
        """Logits of all frames `(n, frames, 3, S, S)`, with what those before tell, or those after as well: what the frames have in common is
        done for all at once."""
        n, frames, _, size, _ = images.shape
        features = self.net.backbone(self.net.normal(images.flatten(0, 1)))
        of_frame = lambda part: part.unflatten(0, (n, frames))

        def along(gates, moved):
            states, out = torch.zeros_like(gates[:, 0, :self.consistency.kept]), []
            for t in range(frames):
                states = self.consistency.remember(gates[:, t], states, where_before(moved[:, t], gates.shape[-1]))
                out.append(states)
            return torch.stack(out, 1)

        def consistent(x):
            gates, later = of_frame(self.consistency.look(x)), None
            if both_ways:
                later = along(gates.flip(1), on_the_way_back(moved)).flip(1).flatten(0, 1)
            return self.consistency.consistent(x, along(gates, moved).flatten(0, 1), later)
        return of_frame(self.net.head(self.net.pyramid(features, {self.LEVEL: consistent})))
