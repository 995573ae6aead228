"""`python -m posetrain RECIPE.toml [--work DIR] [--out DIR] [--threads N] [--set KEY=VALUE]`: data -> weights -> ONNX + card.

Stops and resumes at its last checkpoint, which lies in the work folder.
"""
import argparse
import importlib
import tomllib
from pathlib import Path

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work"), help="checkpoints (git-ignored)")
    parser.add_argument("--out", type=Path, default=Path("../embedded"), help="where the .onnx and its card go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in place of what the recipe says, as in TOML")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = tomllib.loads(arguments.recipe.read_text()) | tomllib.loads("\n".join(arguments.set))
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    net = importlib.import_module(f"posetrain.train_{recipe['task']}").train(recipe, arguments.work)
    importlib.import_module("posetrain.export").export(recipe, arguments.recipe.name, net, arguments.out)


if __name__ == "__main__":
    main()
