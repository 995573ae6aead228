"""Learning to lift without any 3D: what one camera sees, told in 3D, must look as the other camera sees it.

The transform re-projection loss of the geometry-driven self-supervised method, equations 3.2 to 3.7, with the confidences of a joint in
both views as weights, and distances in place of their squares, in parts of the person's spread. Poses lie on their rays
(`posetrain.lifting`), so that what a camera sees itself says little: the other one does. Where cameras stand is known, or is found from
the joints themselves.
"""
import cv2
import numpy as np
import torch

from .views import BODY, SCALE

NEAR = 0.3  # metres: what is nearer is projected as if it were there


def across(net, pair):
    """Of each camera of a pair (`Views.pairs`): poses in its camera, and in the other's, both as person cameras see them `(n, w, 23, 3)`;
    and what its own features tell of the joints."""
    one, other, turn, place = pair
    frames = one[0].shape[1]
    asked = slice(net.frames - 1 - net.ahead, frames - net.ahead)
    told = []
    for x, _, _, into in (one, other):
        poses, root = net.placed(x)
        told.append((poses[..., :3] + root[..., None, :], into[:, asked], net.asked(x)))
    (first, into_first, seen_first), (second, into_second, seen_second) = told
    camera, other_camera = first @ into_first, second @ into_second
    there = (camera - place[:, None, None]) @ turn.transpose(-1, -2)[:, None]
    here = other_camera @ turn[:, None] + place[:, None, None]
    return ((first, there @ into_second.transpose(-1, -2), seen_first), (second, here @ into_first.transpose(-1, -2), seen_second))


def off(points, features, source=None):
    """How far 3D points `(n, w, 23, 3)` are from where features have joints, in parts of the person's spread, weighted by their
    confidence, and by that of the features they were told from."""
    body = features[..., :BODY].unflatten(-1, (-1, 3))
    scale = SCALE * torch.exp(features[..., -1, None, None])
    wanted, weight = body[..., :2], body[..., 2]
    if source is not None:
        weight = weight * source[..., :BODY].unflatten(-1, (-1, 3))[..., 2]
    flat = points[..., :2] / points[..., 2:].clamp(min=NEAR) / scale
    return (torch.linalg.vector_norm(flat - wanted, dim=-1) * weight).sum() / weight.sum().clamp(min=1)


def loss(net, pair, warm):
    """`warm`: the poses of both cameras must agree (equation 3.6); then they must be where either camera sees them (3.7)."""
    (first, there, seen_first), (second, here, seen_second) = across(net, pair)
    if warm:
        return (torch.linalg.vector_norm(there - second, dim=-1).mean() + torch.linalg.vector_norm(here - first, dim=-1).mean())
    return off(first, seen_first) + off(second, seen_second) + off(there, seen_second, seen_first) + off(here, seen_first, seen_second)


def agree(net, pair):
    """The multi-view loss of Cheng et al. (2020), equation 2: poses about mid hips are the same after a rotation."""
    one, other, turn, _ = pair
    asked = slice(net.frames - 1 - net.ahead, one[0].shape[1] - net.ahead)
    first, second = (net.every(x)[..., :3] @ into[:, asked] for x, _, _, into in (one, other))
    return torch.linalg.vector_norm(first @ turn.transpose(-1, -2)[:, None] - second, dim=-1).mean()


def stand(one, other, place):
    """Where the second cameras of pairs stand, from the joints of both (section 3.4.2): the essential matrix by RANSAC, and the known
    distance between both cameras. Rotations `(n, 3, 3)`, places `(n, 3)`, and whether one was found `(n,)`."""
    rays, seen = [], []
    for x, _, _, into in (one, other):
        body = x[..., :BODY].reshape(*x.shape[:2], -1, 3)
        flat = body[..., :2] * SCALE * np.exp(x[..., -1, None, None])
        camera = np.concatenate([flat, np.ones_like(flat[..., :1])], -1) @ into
        rays.append(camera[..., :2] / np.maximum(camera[..., 2:], 0.05)), seen.append(body[..., 2] > 0)
    both = seen[0] & seen[1]
    turns, places, found = np.tile(np.eye(3), (len(both), 1, 1)), np.zeros((len(both), 3)), np.zeros(len(both), bool)
    for n in range(len(both)):
        first, second = (r[n][both[n]].astype(np.float64) for r in rays)
        if len(first) < 20:
            continue
        essential, inliers = cv2.findEssentialMat(first, second, np.eye(3), cv2.RANSAC, 0.999, 0.004)
        if essential is None or essential.shape != (3, 3):
            continue
        good, turn, shift, _ = cv2.recoverPose(essential, first, second, np.eye(3), mask=inliers)
        if good >= 0.5 * len(first):
            turns[n], places[n], found[n] = turn, -turn.T @ shift[:, 0] * np.linalg.norm(place[n]), True
    return turns.astype(np.float32), places.astype(np.float32), found
