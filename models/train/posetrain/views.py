"""Windows of mocap seen by random webcams: what a lifting network is trained on.

Camera frame: x right, y down, z forward (OpenCV). Each frame is told in its own *person camera*: the camera turned so that
its axis meets the person's centre. `src/lift/window.rs` is the same arithmetic for users; `posetrain.features` writes the
table that holds the two against each other.
"""
import numpy as np

from .mocap import LIFT23, RATE
from .joints import mirror_of

MIRROR = np.array(mirror_of(LIFT23))
TORSO = [LIFT23.index(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
HIPS = TORSO[2:]
FACE = [0, 1, 2]
FEET = [15, 16, 17, 18]
HANDS = [19, 20, 21, 22]
LEGS = list(range(9, 19))
BODY = 23 * 3  # features of joints; then where up is, and five of motion
FEATURES = BODY + 3 + 5
SCALE = 0.12  # a usual one: a person of 0.5 m about their centre, 4 m away
SEEN = 0.2  # `src/lift/window.rs` leaves joints out that are less sure
RAYLEIGH_MEDIAN = 1.177  # of the length of a vector of two unit normals
FEWEST = 3  # joints of a frame, in `src/lift/window.rs` as well
TILT = (-20, 50)  # degrees by which tilted cameras look down,
TILTED_FROM = (1.2, 5)  # metres away
SKILL = -0.5  # the mean of the logarithm of how large errors are, in those of our own detector
EXACT = 0.15  # so many detectors do not err
MOMENT = 9  # frames in which errors stay partly the same
STUBBORN = 0.3  # of so many sequences what stays for a moment stays all along: real people wear what nobody rendered
TURNS = 3  # so often may a clip be gone through, there and back, to fill a sequence at the stride that was drawn
FIRST_STEP = 1 / 30  # seconds; the first frame of a person has none before it
UP_LATE = 0.2  # of so many cameras it becomes known while they run where up is
UP_OFF = (2, 8)  # degrees by which that is off about each axis: of most cameras, and of one in
UP_WRONG = 10


def turn_to_axis(directions):
    """The shortest rotations `(..., 3, 3)` that turn directions `(..., 3)` onto +z."""
    x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
    k = 1 / (1 + z)
    return np.stack([1 - k * x * x, -k * x * y, -x, -k * x * y, 1 - k * y * y, -y, x, y, z], -1).reshape(*x.shape, 3, 3)


def normalise(rays, seen, confidence, seconds, up=None):
    """Image rays `(n, t, 23, 2)` (x/z, y/z in the camera), seen `(n, t, 23)`, seconds since the frame before `(n, t)` ->
    features `(n, t, FEATURES)`, and `(n, t, 3, 3)` rotations from the camera into the person camera of each frame.

    Each frame is scaled by its own spread, so that its features depend on it and the frame before only. After the joints' channels
    comes the direction opposite to gravity in the person camera: that of the camera is `up` `(n, t, 3)`, of length 1, or 0 where
    nobody knows it. The last five channels tell how centre and scale move, the time step, and how large the person appears (which
    is how strong the perspective is).

    A frame of fewer than `FEWEST` joints, which users' windows leave out, tells of none and is looked at as the last that had more.
    """
    enough = seen.sum(-1) >= FEWEST
    seen = seen & enough[..., None]
    frame = np.arange(seen.shape[1])
    last = np.maximum.accumulate(np.where(enough, frame, -1), 1)
    last = np.where(last < 0, enough.argmax(1)[:, None], last)
    since = last[:, :-1]  # the frame before, or the last one with joints
    seconds = seconds.copy()
    passed = np.cumsum(seconds, 1)
    gap = passed[:, 1:] - np.take_along_axis(passed, since, 1)
    seconds[:, 1:] = np.where(since < frame[:-1], np.clip(gap, 1 / 120, 0.15), seconds[:, 1:])
    weight = seen.astype(np.float32)
    torso = weight[:, :, TORSO]
    choice = np.zeros_like(weight)
    choice[:, :, TORSO] = torso
    choice = np.where(torso.sum(-1, keepdims=True) < 2, weight, choice)
    choice /= np.maximum(choice.sum(-1, keepdims=True), 1)
    ahead = lambda flat: np.concatenate([flat, np.ones_like(flat[..., :1])], -1)
    centre = ahead((rays * choice[..., None]).sum(2))
    centre = np.take_along_axis(centre, last[..., None], 1)
    turn = turn_to_axis(centre).astype(np.float32)
    into = lambda turn, direction: (lambda p: p[..., :2] / np.maximum(p[..., 2:], .05))(direction @ np.swapaxes(turn, -1, -2))
    flat = into(turn, ahead(rays))
    scale = np.sqrt((weight * (flat ** 2).sum(-1)).sum(-1) / np.maximum(weight.sum(-1), 1)) + 1e-4
    scale = np.take_along_axis(scale, last, 1)
    was, grown = np.zeros_like(centre[..., :2]), np.zeros_like(scale)
    was[:, 1:] = into(turn[:, 1:], centre[:, :-1, None])[:, :, 0]
    grown[:, 1:] = np.log(scale[:, 1:] / scale[:, :-1])
    rate = 1 / (RATE * seconds)
    moved = -was / scale[..., None] * rate[..., None]
    body = np.concatenate([flat / scale[:, :, None, None], confidence[..., None]], -1) * weight[..., None]
    extra = np.stack([np.clip(moved[..., 0], -1, 1), np.clip(moved[..., 1], -1, 1), np.clip(grown * rate, -1, 1),
                      seconds * 10, np.clip(np.log(scale / SCALE), -2, 2)], -1)
    up = np.zeros((*seen.shape[:2], 3)) if up is None else (turn @ up[..., None])[..., 0]
    return np.concatenate([body.reshape(*body.shape[:2], -1), up, extra], -1).astype(np.float32), turn


def trunk_of(points, names):
    """Axes `(..., 2, 2)` of people whose joints `(..., joints, 2)`, of these names, are in a picture: from the hips to the shoulders, and across."""
    middle = lambda part: points[..., [names.index(f"{side}_{part}") for side in ("left", "right")], :].mean(-2)
    along = middle("shoulder") - middle("hip")
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    along = np.where(length > 0, along / np.where(length > 0, length, 1), np.array([0, -1], along.dtype))
    return np.stack([along, np.stack([along[..., 1], -along[..., 0]], -1)], -2)


def square(triangle):
    """The matrix whose lower triangle has these rows."""
    return np.float32([row + [0] * (len(triangle) - len(row)) for row in triangle])


def begin_late(features, first):
    """As if each person had come into view at frame `first` `(n,)`: the frames before repeat it, and it has none before it."""
    late = features.copy()
    for row, at in zip(late, first):
        row[at, -5:-1] = 0, 0, 0, FIRST_STEP * 10
        row[:at] = row[at]
    return late


def masked(shape, share, rng, longest=40):
    """Which joints `(n, t, 23)` are hidden: by themselves, frame by frame, and both for 2 to `longest` frames; a chance of `share` each
    (0.2 in the paper)."""
    n, t, joints = shape
    frame = np.arange(t)
    during = lambda start, length: (frame >= start[..., None]) & (frame < (start + length)[..., None])
    out = (rng.random(shape) < share) | (rng.random((n, t, 1)) < share)
    length = lambda *shape: rng.integers(2, longest + 1, shape)
    one = during(rng.integers(1 - longest, t, (n, joints)), length(n, joints)) & (rng.random((n, joints)) < share)[..., None]
    out |= one.transpose(0, 2, 1)
    out |= (during(rng.integers(1 - longest, t, n), length(n)) & (rng.random(n) < share)[:, None])[..., None]
    return out


def there_and_back(index, length):
    """Numbers of frames that may lie before or after those of clips of so many frames, as of clips that are gone through there and back."""
    last = np.maximum(length - 1, 1)
    return np.minimum(last - np.abs(last - np.abs(index) % (2 * last)), length - 1)


class Views:
    """Draws batches of sequences: windows of `frames` frames, several of which overlap in each.

    `errors` is how a detector errs (see `posetrain.errors`); without it joints are exact. The frame whose pose is asked for has `ahead`
    others after it. The field of view is known to a factor of `lens`, as a logarithm; so many people come `late` into view; joints are
    masked as in Cheng et al. (2020), section 3.3, with a chance of `hidden` for each of its four kinds of masks. So many cameras are
    `tilted`: they hang high and look down, or stand low and look up, as far as the floor lets them, at any angle of `TILT` as often. Of so many
    it is `up_known`, roughly, where up is."""

    def __init__(self, clips, frames=27, errors=None, seed=0, ahead=0, lens=0.12, late=0.15, hidden=0.0, tilted=0.0, up_known=0.0):
        self.seed, self.frames, self.errors = seed, frames, errors
        self.reseed()
        self.ahead, self.lens, self.late, self.hidden = ahead, lens, late, hidden
        self.tilted, self.up_known = tilted, up_known
        self.joints = np.concatenate([c.joints for c in clips])
        self.known = np.repeat(np.stack([c.known for c in clips]), [len(c.joints) for c in clips], 0)
        self.first = np.cumsum([0] + [len(c.joints) for c in clips])[:-1]
        self.length = np.array([len(c.joints) for c in clips])
        weight = self.length.astype(float)
        for i, clip in enumerate(clips):
            weight[i] *= 0.15 if clip.name.startswith("idle_") else 3.0 if clip.name.startswith("humanoid3d") else 1.0
        self.weight = weight / weight.sum()

    def reseed(self, *numbers):
        self.rng = np.random.default_rng([self.seed, *numbers])

    def batch(self, n, windows=1, strides=(1, 1, 2, 2, 2, 3, 4, 6)):
        """Features `(n, t, FEATURES)`, `t` being `frames - 1 + windows`; poses `(n, windows, 23, 3)` of each window's frame, about
        mid hips in its person camera; and which of their joints are known, `(n, windows, 23)`."""
        world, known, stride = self.motion(n, windows, strides)
        return self.seen_from(*self.stand(world), world, known, stride)[:3]

    def pairs(self, n, windows=1, strides=(1, 1, 2, 2, 2, 3, 4, 6)):
        """The same motions seen by two cameras each: twice what `batch` gives, with the rotations `(n, t, 3, 3)` from the first camera
        into each person camera; and the rotation `(n, 3, 3)` and place `(n, 3)` of the second camera in the first."""
        world, known, stride = self.motion(n, windows, strides)
        (axes, eye), (other_axes, other_eye) = self.stand(world), self.stand(world)
        one, other = self.seen_from(axes, eye, world, known, stride), self.seen_from(other_axes, other_eye, world, known, stride)
        apart = np.einsum("nij,nj->ni", axes, other_eye - eye)
        return one, other, other_axes @ axes.transpose(0, 2, 1), apart.astype(np.float32)

    def motion(self, n, windows, strides):
        """World joints `(n, t, 23, 3)` of random motions, which of them are known `(n, 23)`, and frames of 1/60 s between two."""
        rng, t = self.rng, self.frames - 1 + windows
        clip = rng.choice(len(self.length), n, p=self.weight)
        stride = np.minimum(rng.choice(strides, n), np.maximum(1, TURNS * self.length[clip] // t))
        asked = (rng.random(n) * self.length[clip]).astype(int)  # the last frame whose pose is asked for
        index = asked[:, None] + stride[:, None] * (np.arange(t) - (t - 1 - self.ahead))
        index = self.first[clip][:, None] + there_and_back(index, self.length[clip][:, None])
        world, known = self.joints[index], self.known[index[:, 0]]

        flip = rng.random(n) < 0.5
        world[flip] = world[flip][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
        known[flip] = known[flip][:, MIRROR]
        return world, known, stride

    def seen_from(self, axes, eye, world, known, stride):
        """What `batch` gives, of cameras whose axes are `(n, 3, 3)` and that stand at `(n, 3)`, and the rotations from them into each
        person camera."""
        rng, (n, t) = self.rng, world.shape[:2]
        camera = self.look(world, axes, eye)
        rays = camera[..., :2] / np.maximum(camera[..., 2:], 0.15)
        zoom = np.exp(rng.normal(0, self.lens, n)).astype(np.float32)  # the assumed field of view is never quite the true one
        rays = rays * zoom[:, None, None, None]

        asked = np.arange(self.frames - 1 - self.ahead, t - self.ahead)
        target = (camera - camera[:, :, HIPS].mean(2, keepdims=True))[:, asked]
        seconds = np.broadcast_to((stride / RATE)[:, None], (n, t)).astype(np.float32)
        seen = np.broadcast_to(known[:, None], world.shape[:3]).copy()
        confidence = np.ones(world.shape[:3], np.float32)
        if self.errors:
            rays, seen, confidence = self.degrade(rays, seen)
        if self.hidden:
            seen &= ~masked(seen.shape, self.hidden, rng)
        features, turn = normalise(rays, seen, confidence, seconds, self.up(axes, t))
        # Of several windows, the first is of the first frame of whoever is late: means over longer begin there, as they do for users.
        first = rng.integers(0, t, n) if t == self.frames else np.full(n, self.frames - 1 - self.ahead)
        first = np.where(rng.random(n) < self.late, first, 0)
        target = target @ turn[:, asked].transpose(0, 1, 3, 2)
        there = (first[:, None] <= asked) & (seen[:, asked].sum(-1) >= FEWEST)
        return begin_late(features, first), target.astype(np.float32), known[:, None] & there[..., None], turn

    def stand(self, world):
        """Axes `(n, 3, 3)` and places `(n, 3)` of `n` random webcams before somebody: height, distance, where they look, roll."""
        rng, n = self.rng, len(world)
        centre = world[:, -1 - self.ahead, HIPS].mean(1)
        yaw = rng.uniform(0, 2 * np.pi, n)
        # Where webcams, and the cameras of `evaluate lift`, stand; tripods are tilted by more at times.
        distance, height = rng.uniform(1.2, 8, n), rng.uniform(0.5, 2.5, n)
        if self.tilted:
            tilted = rng.random(n) < self.tilted
            look_down, nearer = np.radians(rng.uniform(*TILT, n)), rng.uniform(*TILTED_FROM, n)
            distance = np.where(tilted, nearer * np.cos(look_down), distance)
            height = np.where(tilted, np.maximum(centre[:, 1] + nearer * np.sin(look_down), 0.1), height)
        eye = centre + np.stack([np.sin(yaw) * distance, np.zeros(n), np.cos(yaw) * distance], -1)
        eye[:, 1] = height
        aim = centre + rng.normal(0, 0.05, (n, 3)) * distance[:, None]
        forward = aim - eye
        forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
        right = np.cross(forward, np.array([0, 1.0, 0]))
        right /= np.linalg.norm(right, axis=-1, keepdims=True)
        down = np.cross(forward, right)
        roll = np.radians(np.where(rng.random(n) < 0.75, rng.uniform(-10, 10, n), rng.normal(0, 18, n)))
        wild = rng.random(n) < 0.04  # cameras on their side, people lying as the mocap has few
        roll[wild] = rng.uniform(-np.pi, np.pi, wild.sum())
        c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
        axes = np.stack([right * c + down * s, down * c - right * s, forward], 1).astype(np.float32)
        return axes, eye.astype(np.float32)

    def up(self, axes, t):
        """Where up is in cameras of these axes, as far as it is known: `(n, t, 3)`, or nothing."""
        rng, n = self.rng, len(axes)
        if not self.up_known:
            return None
        wrong = np.where(rng.integers(UP_WRONG, size=n) == 0, UP_OFF[1], UP_OFF[0])
        up = axes[:, :, 1] + np.radians(wrong)[:, None] * rng.standard_normal((n, 3), np.float32)
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        since = np.where(rng.random(n) < UP_LATE, rng.integers(0, t, n), 0)
        known = (rng.random(n) < self.up_known)[:, None] & (np.arange(t) >= since[:, None])
        return up[:, None] * known[..., None]

    @staticmethod
    def look(world, axes, eye):
        """World joints `(n, t, 23, 3)` in the frames of cameras."""
        return (world - eye[:, None, None]) @ axes.transpose(0, 2, 1)[:, None]

    def degrade(self, rays, seen):
        """What detectors do, as `posetrain.errors` measured it, some of them all along (`STUBBORN`): the less sure, the further off; sides
        swapped, joints and groups of joints missing for a while. Gives the rays, which joints are seen, and their confidences."""
        rng, (n, t), model = self.rng, rays.shape[:2], self.errors
        normal = lambda *shape: rng.standard_normal(shape, np.float32)

        always, awhile = model["lasting"]
        share = np.repeat(np.float32([[always, awhile, 1 - always - awhile]]), n, 0)
        share[rng.random(n) < STUBBORN] = always + awhile, 0, 1 - always - awhile
        share = np.sqrt(np.maximum(share.T[..., None, None], 0))

        def wander():  # partly the same all along, partly for a moment, partly new in each frame
            slow, some, fast = normal(n, 1, 23), np.repeat(normal(n, t // MOMENT + 1, 23), MOMENT, 1)[:, :t], normal(n, t, 23)
            return share[0] * slow + share[1] * some + share[2] * fast

        logit = np.float32(model["joints"]) + np.float32(model["person"]) * normal(n, 1, 1) + np.float32(model["rest"]) * wander()
        confidence = np.clip(1 / (1 + np.exp(-logit)), 0.01, 0.995)
        shift, slope = model["median"]
        median = np.exp(np.float32(shift) + np.float32(slope) * logit + np.float32(model["tail"]) * wander())
        # Other detectors err less than ours or more, or tell nothing by their confidence; now and then a mocap file plays the detector.
        skill = np.exp(rng.normal(SKILL, 0.7, n)).astype(np.float32)
        skill[rng.random(n) < EXACT] = 0
        vague = rng.random(n) < 0.2
        confidence[vague] = np.clip(1 - 0.4 * np.abs(normal(*confidence[vague].shape)), 0.05, 1)
        confidence[skill == 0] = 1
        weight = seen[..., None] / np.maximum(seen.sum(-1), 1)[..., None, None]
        middle = (rays * weight).sum(2, keepdims=True)
        spread = np.sqrt((weight * (rays - middle) ** 2).sum((2, 3))).mean(1)
        radius = (skill * spread)[:, None, None] * np.minimum(median, 3) / RAYLEIGH_MEDIAN
        off = np.stack([wander() @ square(model[axis]).T for axis in ("along", "across")], -1)
        rays = rays + radius[..., None] * (off @ trunk_of(rays, LIFT23))
        seen = seen & (confidence >= SEEN)

        # The whole body, the legs or the arms swapped, for a stretch of frames or now and then.
        for part, chance in ((np.arange(23), 0.05), (np.array(LEGS), 0.04), (np.array([3, 4, 5, 6, 7, 8, 19, 20, 21, 22]), 0.02)):
            who = rng.random(n) < chance
            start, length = rng.integers(-t, t, n), rng.integers(1, t, n)
            frame = np.arange(t)[None]
            during = who[:, None] & (frame >= start[:, None]) & (frame < (start + length)[:, None])
            mapped = np.arange(23)
            mapped[part] = MIRROR[part]
            rays = np.where(during[..., None, None], rays[:, :, mapped], rays)
            seen = np.where(during[..., None], seen[:, :, mapped], seen)
            confidence = np.where(during[..., None], confidence[:, :, mapped], confidence)

        for part, chance in ((FACE, 0.15), (FEET, 0.3), (HANDS, 0.3)):  # detectors without these joints
            seen[np.ix_(rng.random(n) < chance, np.arange(t), part)] = False
        cut = rng.random(n) < 0.08  # a desk: nothing below a line
        line = rng.normal(0.1, 0.6, n) * spread
        height = rays[..., 1] - rays[:, :, HIPS, 1].mean(-1, keepdims=True)
        seen &= ~(cut[:, None, None] & (height > line[:, None, None]))
        seen &= rng.random(seen.shape, np.float32) > rng.choice([0, 0.02, 0.1], (n, 1, 1))
        for _ in range(3):  # single joints hidden for a stretch
            who = rng.random(n) < 0.35
            joint, start, length = rng.integers(0, 23, n), rng.integers(-t, t, n), rng.integers(3, t, n)
            frame = np.arange(t)[None]
            during = who[:, None] & (frame >= start[:, None]) & (frame < (start + length)[:, None])
            rows, times = np.nonzero(during)
            seen[rows, times, joint[rows]] = False
        return rays, seen, confidence
