"""Compares lifting networks, and ways to train them: `python -m posetrain.study STUDY.toml`.

Each row of the study is trained (some minutes) from each of its seeds, scored on CMU's subjects 05, 08 and 14, and exported; causal networks
with a card that `evaluate lift --model` takes. Rows that have their scores are not trained again: several processes may share the work
by `--only` and `--set 'seeds=[1]'`. The table of all that is scored is printed, and written beside them: means, and the standard deviation
of seeds where there are some.
"""
import argparse
import json
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from . import factorization, mocap, pairs
from .export import export_energy, export_windows
from .lifting import BONES, LiftNet, laplace
from .loop import DEVICE, fit, steps_done, tensor
from .mocap import LIMBS
from .networks import AttentionNet, ConvolutionNet, StrideNet
from .plausible import Plausible, turned
from .train_lifting import errors_of, lifting
from .views import HIPS, Views

NETWORKS = {"ours": LiftNet, "tcn": ConvolutionNet, "attention": AttentionNet, "strides": StrideNet}
METRES = 10  # weight of a metre in the losses here, as in `laplace`


def supervised(net, drawn, step):
    x, poses, known = map(tensor, drawn)
    loss, error = laplace(net.every(x), poses, known)
    return loss, {"error, mm": 1000 * error}


def bone_lengths(poses, known):
    """Mean lengths of the bones both of whose ends are known, and of which bones there are some."""
    one, other = (list(ends) for ends in zip(*BONES))
    both = (known[..., one] & known[..., other]).float()
    lengths = torch.linalg.vector_norm(poses[..., one, :] - poses[..., other, :], dim=-1)
    seen = both.sum((0, 1))
    return (lengths * both).sum((0, 1)) / seen.clamp(min=1), seen > 0


def half_supervised(weight):
    """Besides poses, 2D of which no poses are known: bones must be as long as those that are known, and joints where they are seen
    (Pavllo et al. 2019, section 4; joints lie on their rays here, and sizes hang on that, so that there is no trajectory network)."""
    def loss_of(net, drawn, step):
        loss, shown = supervised(net, drawn[0], step)
        _, poses, known = map(tensor, drawn[0])
        x, _, there = map(tensor, drawn[1])
        told, root = net.placed(x)
        (wanted, some), (got, of) = bone_lengths(poses, known), bone_lengths(told[..., :3], there)
        bones = (got - wanted).abs()[some & of].mean()
        return loss + weight * METRES * (bones + pairs.off(told[..., :3] + root[..., None, :], net.asked(x))), \
            shown | {"bones, mm": 1000 * bones}
    return loss_of


def on_device(drawn):
    """Pairs of views as tensors."""
    return [tuple(map(tensor, camera)) for camera in drawn[:2]] + [tensor(part) for part in drawn[2:]]


def two_views(weight):
    """Besides poses: those of two views must agree (Cheng et al. 2020, equation 2)."""
    def loss_of(net, drawn, step):
        pair = on_device(drawn)
        losses, errors = zip(*(laplace(net.every(x), poses, known) for x, poses, known, _ in pair[:2]))
        apart = pairs.agree(net, pair)
        return sum(losses) / 2 + weight * METRES * apart, {"error, mm": 500 * sum(errors), "views apart, mm": 1000 * apart}
    return loss_of


def without_poses(warm):
    """Pairs of views and nothing else (`posetrain.pairs`)."""
    def loss_of(net, drawn, step):
        loss = pairs.loss(net, on_device(drawn), step < warm)
        return loss, {"loss": loss}
    return loss_of


def adversarial(judge, optimiser, weight):
    """Besides poses: a discriminator must take what is told for motions of mocap (Cheng et al. 2020, equations 5 and 6)."""
    yes = lambda says: functional.softplus(-says).mean()
    no = lambda says: functional.softplus(says).mean()

    def loss_of(net, drawn, step):
        x, poses, known = map(tensor, drawn)
        told = net.every(x)
        loss, error = laplace(told, poses, known)
        whole = known[:, :, LIMBS].all(-1).all(-1)
        with torch.autocast(DEVICE.type, enabled=False):
            real, fake = turned(poses[whole]), turned(told[whole, ..., :3].float())
            judged = yes(judge(real)) + no(judge(fake.detach()))
            optimiser.zero_grad(), judged.backward(), optimiser.step()
            fooled = yes(judge(fake))
        return loss + weight * fooled, {"error, mm": 1000 * error, "judged": judged, "fooled": fooled}
    return loss_of


def found_pairs(views, count, windows):
    """Pairs of views, of which cameras are found from the joints (`pairs.stand`)."""
    while True:
        one, other, _, place = views.pairs(count, windows)
        turn, place, found = pairs.stand(one, other, place)
        if found.any():
            of = lambda parts: tuple(part[found] for part in parts)
            return of(one), of(other), turn[found], place[found]


def stem(row):
    """What the files of a row are called."""
    return f"{row['slug']}-{row['seed']}"


def train_row(row, out, clips, errors):
    """Trains the network of a row."""
    torch.manual_seed(row["seed"])
    net = NETWORKS[row["network"]](dropout=row["dropout"], **row.get("shape", {}))
    checkpoint = out / f"{stem(row)}.pt"
    torch.manual_seed(1000 * row["seed"] + steps_done(checkpoint))  # other joints are dropped after a break
    few = max(round(row["labels"] * len(clips)), 1)
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(row["seed"])).tolist()
    views = lambda clips, seed: Views(clips, net.frames, errors if row["noise"] else None, seed, net.ahead, lens=0, late=0,
                                      hidden=row["hidden"])
    known, judge, also = views([clips[n] for n in order[:few]], row["seed"]), None, {}
    drawers = [known]
    batch, loss_of = known.batch, supervised
    match row["method"]:
        case "supervised":
            pass
        case "half-supervised":
            flat = views([clips[n] for n in order[few:]], 1000 + row["seed"])
            drawers.append(flat)
            batch, loss_of = lambda count, windows: (known.batch(count, windows), flat.batch(count, windows)), half_supervised(row["weight"])
        case "two views":
            batch, loss_of = lambda count, windows: known.pairs(count // 2, windows), two_views(row["weight"])
        case "pairs":
            batch, loss_of = lambda count, windows: known.pairs(count // 2, windows), without_poses(row["warm"])
        case "found pairs":
            batch, loss_of = lambda count, windows: found_pairs(known, count // 2, windows), without_poses(row["warm"])
        case "adversarial":
            judge = Plausible(row["windows"], row["temporal"]).to(DEVICE)
            optimiser = torch.optim.Adam(judge.parameters(), 2e-4, betas=(0.5, 0.99))
            loss_of, also = adversarial(judge, optimiser, row["weight"]), {"judge": judge, "judge's optimiser": optimiser}
        case other:
            raise SystemExit(f"row {row['slug']}: there is no method {other!r}")
    recipe = {"decay": 1e-4, "cycles": [{"rate": row["rate"], "batch": row["batch"], "sizes": [[row["windows"], row["steps"]]]}]}
    return fit(net, recipe, checkpoint, drawers, batch, loss_of, every=400, also=also), judge


def about_hips(net):
    """A network that learned without poses: what it tells of a body and of its place are right together, the one to any origin."""
    lift = lifting(net)

    def centred(x):
        poses = lift(x)
        return poses - poses[:, HIPS].mean(1, keepdims=True)
    return centred


def run(row, out, clips, held, errors):
    """Trains and scores a row, or reads the scores that it had."""
    path = out / f"{stem(row)}.scores.json"
    if path.exists():
        told = json.loads(path.read_text())
        if told["row"] != row:
            raise SystemExit(f"{path} is of another setting of this row: remove it, and {stem(row)}.pt, to train it again")
        return told
    score = lambda lift, net, **how: errors_of(lift, Views(held, net.frames, seed=5, ahead=net.ahead, lens=0, late=0, **how), strides=(2,))
    if row["network"] == "factorization":
        net = factorization.train(row, [clip for clip in clips if clip.known.all()])
        told = {"frames": 1, "exact": [None, score(lambda x: factorization.lift(net, x), net)[1]]}
    else:
        net, judge = train_row(row, out, clips, errors)
        of = lambda **how: score(about_hips(net) if row["method"].endswith("pairs") else lifting(net), net, **how)
        told = {"frames": net.frames, "exact": of(), "hidden": of(hidden=0.2), "noise": of(errors=errors)}
        plain, aligned = told["exact"]
        export_windows(net, stem(row), out, f"MPJPE {plain:.1f} mm, P-MPJPE {aligned:.1f} mm over twelve limb joints: CMU subjects 05, "
                       "08, 14, exact 2D")
        if judge:
            export_energy(judge, out / f"{stem(row)}-energy.onnx")
    told |= {"weights": sum(part.numel() for part in net.parameters()), "row": row}
    keep(json.dumps(told), path)
    return told


def keep(text, path):
    """Writes a file at once: another process may be reading it."""
    partial = path.with_suffix(f".part{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def scored(rows, out):
    """Scores of rows by slug and seed, as far as there are some."""
    results = {}
    for row in rows:
        for path in sorted(out.glob(f"{row['slug']}-*.scores.json")):
            told = json.loads(path.read_text())
            if told["row"]["slug"] == row["slug"]:
                results.setdefault(row["slug"], {})[told["row"]["seed"]] = told
    return results


def table(rows, results):
    """`results` by slug and seed."""
    lines = ["| | frames | weights | seeds | MPJPE mm | P-MPJPE mm | joints masked, MPJPE mm | with noise, MPJPE mm | compared |",
             "|---|---|---|---|---|---|---|---|---|"]
    measures = {"MPJPE": ("exact", 0), "P-MPJPE": ("exact", 1), "masked": ("hidden", 0)}

    def cell(numbers, digits=1):
        if not numbers or None in numbers:
            return ""
        return f"{np.mean(numbers):.{digits}f}" + (f" ± {np.std(numbers, ddof=1):.{digits}f}" if len(numbers) > 1 else "")
    for row in rows:
        if not (told := results.get(row["slug"])):
            continue
        of = lambda condition, n, told=told: [one[condition][n] for one in told.values() if condition in one]
        ratio, (condition, number) = "", measures[row["measure"]]
        other = results.get(row.get("against"), {})
        if both := told.keys() & other.keys():
            ratio = f"{cell([told[s][condition][number] / other[s][condition][number] for s in both], 2)} × {row['against']} ({row['measure']})"
        first = next(iter(told.values()))
        lines.append(f"| {row['name']} (`{row['slug']}`) | {first['frames']} | {first['weights'] / 1e6:.2f} M | {len(told)} "
                     f"| {cell(of('exact', 0))} | {cell(of('exact', 1))} | {cell(of('hidden', 0))} | {cell(of('noise', 0))} | {ratio} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, default=Path("work/study"), help="checkpoints, networks, scores and the table (git-ignored)")
    parser.add_argument("--only", help="train the rows whose slugs this regular expression finds")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in place of what the study says, for every row")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    study = tomllib.loads(arguments.study.read_text())
    common = {key: value for key, value in study.items() if key != "rows"} | tomllib.loads("\n".join(arguments.set))
    rows = [common | row | tomllib.loads("\n".join(arguments.set)) for row in study["rows"]]
    arguments.out.mkdir(parents=True, exist_ok=True)
    recorded, held = mocap.load(common["data"], "train"), mocap.load(common["data"], "subjects")
    errors = json.loads(Path(common["errors"]).read_text())
    for row in rows:
        for seed in row.pop("seeds"):
            if arguments.only is None or re.search(arguments.only, row["slug"]):
                print(f"{row['slug']}, seed {seed}", flush=True)
                clips = recorded + (mocap.load(common["data"], "train", mixed=row["mixed"], seed=seed) if row["mixed"] else [])
                run(row | {"seed": seed}, arguments.out, clips, held, errors)
                keep(table(rows, scored(rows, arguments.out)) + "\n", arguments.out / "table.md")
    print(table(rows, scored(rows, arguments.out)))


if __name__ == "__main__":
    main()
