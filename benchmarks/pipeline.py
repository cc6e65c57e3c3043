"""Samples per second of the image pipeline against torchvision's ImageFolder with a DataLoader, the same transforms.

JPEG files of 500 x 375 pixels, cut from scikit-learn's two photographs, become normalised float batches of 32: Resize
256, RandomResizedCrop 227, RandomHorizontalFlip. Both pipelines run in turn, epoch by epoch, with 0, 1 and 2 worker
processes; CPU time is that of all processes. Before that, the pixels that enter the random part are compared.
Writes ``pipeline.csv`` and ``pipeline.md`` into ``--output``. Worker processes' CPU time is known on Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

BATCH, SIZE = 32, (500, 375)
RECIPE = {
    "Resize": {"size": 256},
    "RandomResizedCrop": {"size": 227, "scale": (0.16, 1.0), "ratio": (0.75, 1.33)},
    "RandomHorizontalFlip": {"p": 0.5},
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main(words: Sequence[str]) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline", description=__doc__)
    parser.add_argument("--output", default="benchmarks/results")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", nargs="*", type=int, default=[0, 1, 2])
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder, "images"), arguments.images)
        for workers in arguments.workers:
            cache = Path(folder, f"cache{workers}")
            engines = {
                "ImageFolder": plain(Path(folder, "images"), workers),
                "powerbench": ours(folder, cache, workers),
            }
            for epoch in range(1, arguments.epochs + 1):
                for engine, epochs in engines.items():
                    rows.append({"workers": workers, "epoch": epoch, "engine": engine, **_measured(epochs)})
                    print(_line(rows[-1]), flush=True)
    _write(rows, Path(arguments.output))


def make_photographs(folder: Path, count: int) -> None:
    """JPEG files of parts of two photographs, in ten class folders."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    generator = np.random.default_rng(0)
    for number in range(count):
        width = int(generator.integers(250, 569))
        height = width * SIZE[1] // SIZE[0]
        left, top = int(generator.integers(0, 640 - width)), int(generator.integers(0, 427 - height))
        part = (
            photographs[number % 2].crop((left, top, left + width, top + height)).resize(SIZE, Image.Resampling.LANCZOS)
        )
        path = folder / f"class{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.save(path, quality=92)


def plain(images: Path, workers: int) -> Callable[[], Iterator[torch.Tensor]]:
    """What one writes with torchvision alone: an epoch's batches each time it is called."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [getattr(transforms, name)(**values) for name, values in RECIPE.items()]
    whole = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(images), whole),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda: (batch for batch, _ in loader)


def ours(folder: str, cache: Path, workers: int) -> Callable[[], Iterator[torch.Tensor]]:
    """The same from powerbench, as training asks for it."""
    from powerbench.config.values import ClassSpec
    from powerbench.data.decoded_images import DecodedImages
    from powerbench.data.images import ImageInputs
    from powerbench.data.recipes import build_recipe
    from powerbench.datasets.image_folder import ImageFolder
    from powerbench.models.trunk_contract import InputSpec

    dataset = ImageFolder(root=f"{folder}/images")
    count = len(dataset.index)
    recipe = build_recipe([ClassSpec.model_validate({name: values}) for name, values in RECIPE.items()], where="train")
    kept = DecodedImages(cache / "images", {}, count, 10**12)
    inputs = ImageInputs(
        dataset,
        {"train": recipe},
        InputSpec(MEAN, STD),
        device=torch.device("cpu"),
        workers={"train": workers},
        kept={"train": kept},
    )
    for item in range(0, count, max(1, count // 20)):
        with Image.open(dataset.files[item]) as image:
            resized = recipe.head[0](image.convert("RGB"))
        assert np.array_equal(recipe.start(dataset.image(item)), np.asarray(resized))
    epoch = iter(range(10**6))

    def batches() -> Iterator[torch.Tensor]:
        seed = next(epoch)
        order = np.random.default_rng(seed).permutation(count)
        plan = [order[start : start + BATCH] for start in range(0, count, BATCH)]
        return (views[0] for views in inputs.batches(plan, part="train", seed=seed))

    return batches


def _measured(epochs: Callable[[], Iterator[torch.Tensor]]) -> dict:
    """An epoch: samples a second, and milliseconds of CPU time a sample."""
    cpu, wall, samples = _cpu_seconds(), time.perf_counter(), 0
    for batch in epochs():
        assert batch.dtype == torch.float32
        assert batch.shape[1:] == (3, 227, 227)
        samples += len(batch)
    wall = time.perf_counter() - wall
    return {"samples_per_s": samples / wall, "cpu_ms": (_cpu_seconds() - cpu) / samples * 1e3}


def _cpu_seconds() -> float:
    """Of this process and its workers."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        status = Path(f"/proc/{child.pid}/stat")
        if status.exists():
            fields = status.read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _line(row: dict) -> str:
    cells = (row["workers"], row["epoch"], row["engine"], f"{row['samples_per_s']:.0f}", f"{row['cpu_ms']:.2f}")
    return f"| {' | '.join(map(str, cells))} |"


def _write(rows: list[dict], folder: Path) -> None:
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "pipeline.csv", index=False)
    frame["epoch"] = frame["epoch"].map(lambda epoch: "first" if epoch == 1 else "later")
    medians = frame.groupby(["workers", "epoch", "engine"], sort=False).median().reset_index()
    lines = ["| workers | epochs | pipeline | samples/s | CPU ms/sample |", "|---" * 5 + "|"]
    lines += [_line(row) for row in medians.to_dict("records")]
    for (workers, epoch), part in medians.groupby(["workers", "epoch"], sort=False):
        of = part.set_index("engine")
        wall = of["samples_per_s"]["powerbench"] / of["samples_per_s"]["ImageFolder"]
        cpu = of["cpu_ms"]["ImageFolder"] / of["cpu_ms"]["powerbench"]
        lines.append(
            f"\n{workers} workers, {epoch} epochs: {wall:.1f} times the samples/s, {cpu:.1f} times by CPU time"
        )
    print("\n".join(lines))
    (folder / "pipeline.md").write_text("\n".join(lines) + "\n")
