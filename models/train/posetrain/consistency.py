"""A keypoint network that remembers: multi-scale temporal consistency exploration (Li et al. 2020, "Exploring temporal consistency for
human pose estimation in videos"; equations in brackets are those of Y. Li's thesis, chapter 2).

What the frames before showed is kept as hidden states. They are moved to where things are now, by an offset field that is learned and,
as the crop follows the person, by how the crop moved; then they are merged with what is seen now, by the gates of a convolutional LSTM.
"""
import torch
from torch import nn
from torch.nn import functional

from .vision import KeypointNet, conv

DILATIONS = (0, 1, 2, 4)  # of the scales; the first looks at single cells


class Consistency(nn.Module):
    """Features `(n, channels, c, c)`, the states `(n, scales * 2 * told, c, c)` of the frame before, and where each cell was then `(n, c, c,
    2)`, from -1 to 1 over the crop -> features that are consistent with those before, and states. In the first frame states are 0.

    Without `offsets`, or with fewer `dilations`, one sees what these bring.
    """

    def __init__(self, channels, told=24, dilations=DILATIONS, offsets=True):
        super().__init__()
        self.told, self.scales = told, len(dilations)
        self.project = conv(channels, told)
        self.views = nn.ModuleList(nn.Conv2d(told, told, 3 if by else 1, padding=by, dilation=max(by, 1)) for by in dilations)
        together = lambda inputs, outputs: nn.Conv2d(self.scales * inputs, self.scales * outputs, 3, padding=1, groups=self.scales)
        self.offsets = together(told, 2) if offsets else None
        self.gates = together(2 * told, 4 * told)
        self.out = nn.Conv2d(self.scales * told, channels, 1)
        # At first nothing moves by itself, and the network says what it says of single frames.
        for layer in filter(None, (self.offsets, self.out)):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)

    @property
    def kept(self):
        """Channels of the states."""
        return self.scales * 2 * self.told

    def forward(self, x, states, where):
        n, _, cells, _ = x.shape
        apart = lambda part: part.unflatten(1, (self.scales, -1)).flatten(0, 1)  # each scale by itself
        together = lambda part: part.unflatten(0, (n, self.scales)).flatten(1, 2)
        projected = self.project(x)
        seen = torch.cat([view(projected) for view in self.views], 1)  # equation 2.11
        hidden, cell = apart(states).chunk(2, 1)
        if self.offsets is None:
            grid = where.repeat_interleave(self.scales, 0)
        else:
            # Where in the state each cell of now is to be read: by the crop, and by the offset field there (2.4).
            shift = functional.grid_sample(self.offsets(together(hidden)), where, align_corners=False)
            grid = where.repeat_interleave(self.scales, 0) + apart(shift).permute(0, 2, 3, 1) * (2 / cells)
        hidden, cell = functional.grid_sample(torch.cat([hidden, cell], 1), grid, align_corners=False).chunk(2, 1)
        gates = self.gates(together(torch.cat([apart(seen), hidden], 1)))
        let_in, keep, tell, new = apart(gates).chunk(4, 1)  # equations 2.8
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(let_in) * torch.tanh(new)
        hidden = torch.sigmoid(tell) * torch.tanh(cell)
        return x + self.out(together(hidden)), together(torch.cat([hidden, cell], 1))


def where_before(moved, cells):
    """Where in the crop before each cell was, `(n, cells, cells, 2)` from -1 to 1, by crop_before_from_crop `(n, 2, 3)` of coordinates from -1
    to 1."""
    at = (torch.arange(cells, device=moved.device, dtype=moved.dtype) * 2 + 1) / cells - 1
    grid = torch.stack([at.expand(cells, cells), at[:, None].expand(cells, cells), torch.ones_like(at).expand(cells, cells)], -1)
    return (grid.flatten(0, 1) @ moved.transpose(1, 2)).unflatten(1, (cells, cells))


class VideoNet(nn.Module):
    """A keypoint network that stays as it is, with consistency where its features are 16 pixels apart."""

    LEVEL = 2  # of the pyramid

    def __init__(self, net=None, **how):
        super().__init__()
        self.net = (net or KeypointNet()).requires_grad_(False)
        self.consistency = Consistency(self.net.pyramid.smooth[0][0].out_channels, **how)

    def train(self, mode=True):
        super().train(mode)
        self.net.eval()
        return self

    def forward(self, image, states, moved):
        """A frame `(n, 3, S, S)`, states `(n, kept, S / 16, S / 16)`, and crop_before_from_crop `(n, 2, 3)` of coordinates from -1 to 1 ->
        logits as `KeypointNet` has them, and states."""
        told = []

        def consistent(x):
            x, kept = self.consistency(x, states, where_before(moved, x.shape[-1]))
            told.append(kept)
            return x
        features = self.net.backbone(self.net.normal(image))
        return self.net.head(self.net.pyramid(features, {self.LEVEL: consistent})), told[0]

    def every(self, images, moved):
        """Logits of all frames `(n, frames, 3, S, S)`: what the frames have in common is done for all at once."""
        n, frames, _, size, _ = images.shape
        features = self.net.backbone(self.net.normal(images.flatten(0, 1)))

        def consistent(x):
            x, out = x.unflatten(0, (n, frames)), []
            states = x.new_zeros(n, self.consistency.kept, *x.shape[-2:])
            for t in range(frames):
                y, states = self.consistency(x[:, t], states, where_before(moved[:, t], x.shape[-1]).to(x.dtype))
                out.append(y)
            return torch.stack(out, 1).flatten(0, 1)
        return self.net.head(self.net.pyramid(features, {self.LEVEL: consistent})).unflatten(0, (n, frames))
