"""Compares lifting networks and ways to train them, on the same data, views, steps and rate: `python -m posetrain.study STUDY.toml`.

Each row of the study is trained (a minute or ten each), scored on CMU's subjects 05, 08 and 14, and exported with a card that
`evaluate lift --model` takes; what is there already is not trained again. The table is printed, and written beside them.
"""
import argparse
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import torch

from . import factorization, mocap, pairs
from .export import export_energy, export_windows
from .lifting import BONES, LiftNet, laplace
from .loop import fit, tensor
from .networks import AttentionNet, StrideNet
from .plausible import Plausible, turned
from .train_lifting import LIMBS, aligned, errors_of, lifting
from .views import Views

NETWORKS = {"tcn": LiftNet, "attention": AttentionNet, "strides": StrideNet}


def network(row):
    return NETWORKS[row["network"]](dropout=row["dropout"], **row.get("shape", {}))


def losses(row, labelled, unlabelled, frames, ahead, errors):
    """`batch(windows)` and `loss_of(net, drawn)` of a row, and a discriminator where it has one."""
    count, seed = row["batch"], row["seed"]
    views = lambda clips, seed: Views(clips, frames, errors if row.get("noise") else None, seed, ahead, lens=0, hidden=row.get("hidden", 0))
    supervised, single, double = views(labelled, seed), views(unlabelled, seed + 1), views(unlabelled, seed + 2)

    def known(net, drawn):
        x, poses, weight = map(tensor, drawn)
        return laplace(net.every(x), poses, weight)[0], poses

    def plain(net, drawn):
        loss, _ = known(net, drawn)
        return loss, {"loss": loss.item()}
    batch = lambda windows: supervised.batch(count, windows)
    if row.get("plausible"):
        return batch, *adversary(row, known)
    if row.get("unlabelled"):  # section 4 of Pavllo et al. (2019)
        def half(net, drawn):
            loss, poses = known(net, drawn[0])
            x = tensor(drawn[1][0])
            told, root = net.placed(x)
            lengths = lambda poses: torch.stack([torch.linalg.vector_norm(poses[..., a, :] - poses[..., b, :], dim=-1).mean() for a, b in BONES])
            of_bones = (lengths(told[..., :3]) - lengths(poses)).abs().mean()
            of_views = pairs.off(told[..., :3] + root[..., None, :], net.asked(x))
            return loss + row["unlabelled"] * 10 * (of_views + of_bones), {"loss": loss.item(), "bones, mm": 1000 * of_bones.item()}
        return lambda windows: (supervised.batch(count, windows), single.batch(count, windows)), half, None
    if row.get("views"):  # the multi-view loss, besides what is known
        def both(net, drawn):
            pair = [tuple(map(tensor, camera)) for camera in drawn[:2]] + [tensor(part) for part in drawn[2:]]
            loss = sum(laplace(net.every(x), poses, weight)[0] for x, poses, weight, _ in pair[:2]) / 2
            apart = pairs.agree(net, pair)
            return loss + row["views"] * 10 * apart, {"loss": loss.item(), "views apart, mm": 1000 * apart.item()}
        return lambda windows: double.pairs(count // 2, windows), both, None
    if row.get("pairs"):
        steps = iter(range(10 ** 9))

        def drawn(windows):
            one, other, turn, place = double.pairs(count // 2, windows)
            if row["pairs"] == "given":
                return one, other, turn, place
            turn, place, found = pairs.stand(one, other, place)
            of = lambda parts: tuple(part[found] for part in parts)
            return of(one), of(other), turn[found], place[found]

        def blind(net, drawn):
            pair = [tuple(map(tensor, camera)) for camera in drawn[:2]] + [tensor(part) for part in drawn[2:]]
            loss = pairs.loss(net, pair, warm=next(steps) < row["warm"])
            return loss, {"loss": loss.item()}
        return drawn, blind, None
    return batch, plain, None


def adversary(row, known):
    """The loss of training against a discriminator of motions (Cheng et al. 2020, equations 5 and 6), and the discriminator."""
    torch.manual_seed(row["seed"])
    judge = Plausible(row["windows"], temporal=row["plausible"] == "temporal")
    optimiser = torch.optim.Adam(judge.parameters(), 2e-4, betas=(0.5, 0.99))
    bce = torch.nn.functional.binary_cross_entropy_with_logits

    def loss_of(net, drawn):
        x, poses, weight = map(tensor, drawn)
        told = net.every(x)
        loss, _ = laplace(told, poses, weight)
        whole = weight[:, :, LIMBS].all(-1).all(-1)
        with torch.autocast("cpu", enabled=False):
            real, fake = turned(poses[whole]), turned(told[whole, ..., :3].float())
            says = judge(real), judge(fake.detach())
            judged = bce(says[0], torch.ones_like(says[0])) + bce(says[1], torch.zeros_like(says[1]))
            optimiser.zero_grad(), judged.backward(), optimiser.step()
            says = judge(fake)
            fooled = bce(says, torch.ones_like(says))
        return loss + row.get("plausible_weight", 0.1) * fooled, {"loss": loss.item(), "judged": judged.item(), "fooled": fooled.item()}
    return loss_of, judge


def split(clips, share, seed):
    """A part of the clips whose poses are known, and those of which only 2D is."""
    if share == 1:
        return clips, clips
    order = np.random.default_rng(seed).permutation(len(clips))
    few = max(round(share * len(clips)), 1)
    return [clips[n] for n in order[:few]], [clips[n] for n in order[few:]]


def run(row, out, train, held, errors):
    """Trains and scores one row, or reads what it had."""
    path = out / f"{row['slug']}.json"
    if path.exists():
        return json.loads(path.read_text())
    torch.manual_seed(row["seed"])
    if row["network"] == "factorization":
        net = factorization.train(row, [clip for clip in train if clip.known.all()])
        views = Views(held, 1, seed=5, lens=0, late=0)
        after, plain = [], []
        for _ in range(6):
            x, target, _ = views.batch(512, strides=(2,))
            got, want = factorization.lift(net, x)[:, LIMBS], target[:, 0, LIMBS]
            after.append(np.linalg.norm(aligned(got, want) - want, axis=-1).mean())
            size = np.linalg.norm(want, axis=-1).sum(-1) / np.linalg.norm(got, axis=-1).sum(-1)
            plain.append(np.linalg.norm(got * size[:, None, None] - want, axis=-1).mean())
        told = {"exact": [1000 * float(np.mean(plain)), 1000 * float(np.mean(after))]}
    else:
        net = network(row)
        labelled, unlabelled = split(train, row.get("labels", 1), row["seed"])
        batch, loss_of, judge = losses(row, labelled, unlabelled, net.frames, net.ahead, errors)
        recipe = {"rate": row["rate"], "decay": 1e-4, "cycles": [[[row["windows"], row["steps"]]]]}
        net = fit(net, recipe, out / f"{row['slug']}.pt", batch, loss_of, every=400)
        if judge:
            export_energy(judge, out / f"{row['slug']}-energy.onnx")
        views = lambda **how: Views(held, net.frames, seed=5, ahead=net.ahead, lens=0, late=0, **how)
        of = lambda views: errors_of(lifting(net), views, strides=(2,))
        told = {"exact": of(views()), "hidden": of(views(hidden=0.2)), "noise": of(views(errors=errors))}
        export_windows(net, row["slug"], out, f"MPJPE {told['exact'][0]:.1f} mm, P-MPJPE {told['exact'][1]:.1f} mm over twelve limb joints: CMU "
                       "subjects 05, 08, 14, exact 2D")
    told["weights"] = sum(p.numel() for p in net.parameters())
    path.write_text(json.dumps(told))
    return told


def table(rows, results):
    lines = ["| network | weights | MPJPE mm | P-MPJPE mm | joints masked | with noise | against |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        told = results.get(row["slug"])
        if told is None:
            continue
        other = results.get(row.get("against"))
        by = row.get("by", "exact")
        number = 1 if row.get("aligned") else 0
        ratio = f"{told[by][number] / other[by][number]:.2f} × {row['against']}" if other else ""
        cell = lambda name: f"{told[name][0]:.1f}" if name in told else ""
        lines.append(f"| {row['name']} | {told['weights'] / 1e6:.2f} M | {told['exact'][0]:.1f} | {told['exact'][1]:.1f} | {cell('hidden')} "
                     f"| {cell('noise')} | {ratio} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, default=Path("work/study"), help="checkpoints, networks and the table (git-ignored)")
    parser.add_argument("--only", help="rows whose names this regular expression finds")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in place of what the study says, for every row")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    study = tomllib.loads(arguments.study.read_text())
    common = {key: value for key, value in study.items() if key != "rows"}
    changed = tomllib.loads("\n".join(arguments.set))
    rows = [common | row | changed for row in study["rows"]]
    for row in rows:
        row.setdefault("name", row["slug"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    train, held = mocap.load(common["data"], "train"), mocap.load(common["data"], "subjects")
    errors, results = json.loads(Path(common["errors"]).read_text()), {}
    for row in rows:
        if arguments.only is None or re.search(arguments.only, row["slug"]):
            print(row["slug"], flush=True)
            results[row["slug"]] = run(row, arguments.out, train, held, errors)
        elif (done := arguments.out / f"{row['slug']}.json").exists():
            results[row["slug"]] = json.loads(done.read_text())
        told = table(rows, results)
        (arguments.out / "table.md").write_text(told + "\n")
    print(told)


if __name__ == "__main__":
    main()
