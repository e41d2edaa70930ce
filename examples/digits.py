"""Train a classifier on scikit-learn's handwritten digits, save it, load it again and serve it.

Run it with `make demo`, or with `python examples/digits.py --help` where numbagrad[examples] is
installed. It exits with 1 if the test accuracy is below the one it promises.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import numbagrad as ng
from numbagrad.nn import functional as F

PROMISED_ACCURACY = 0.97
CLASSES = 10


class Classifier(ng.nn.Module):
    """A small convolutional network: 8 × 8 pixels → 10 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.strokes = ng.nn.Conv2d(1, 16, 3, padding=1)
        self.shapes = ng.nn.Conv2d(16, 32, 3, padding=1)
        self.hidden = ng.nn.Linear(32 * 4 * 4, 64)
        self.output = ng.nn.Linear(64, CLASSES)
        self.dropout = ng.nn.Dropout(0.3)

    def forward(self, x: ng.Tensor) -> ng.Tensor:
        x = F.relu(self.strokes(x))
        x = F.max_pool2d(F.relu(self.shapes(x)), 2)
        x = F.relu(self.hidden(self.dropout(x.flatten(1))))
        return self.output(x)


@dataclass(frozen=True)
class Data:
    train_images: ng.Tensor
    train_labels: ng.Tensor
    test_images: ng.Tensor
    test_labels: ng.Tensor


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave."""

    number: int
    loss: float
    accuracy: float  # on the test images
    samples_per_second: float

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.4f}  accuracy {self.accuracy:.1%}  "
            f"{self.samples_per_second:,.0f} samples/s"
        )


def load_data(seed: int) -> Data:
    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images, np.float32).reshape(-1, 1, 8, 8) / 16  # a pixel counts 0 to 16
    parts = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=seed)
    train_images, test_images, train_labels, test_labels = (ng.from_numpy(p) for p in parts)
    return Data(train_images, train_labels, test_images, test_labels)


def train(
    model: Classifier, data: Data, epochs: int, batch: int, rate: float, seed: int
) -> Iterator[Epoch]:
    """Train with AdamW; yields after each epoch."""
    optimizer = ng.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    shuffle = np.random.default_rng(seed)
    count = len(data.train_labels)
    for number in range(1, epochs + 1):
        model.train()
        total = 0.0
        start = time.perf_counter()
        order = shuffle.permutation(count)
        for first in range(0, count, batch):
            rows = ng.from_numpy(order[first : first + batch])
            loss = F.cross_entropy(model(data.train_images[rows]), data.train_labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        seconds = time.perf_counter() - start
        yield Epoch(number, total / count, accuracy(model, data), count / seconds)


def accuracy(model: Classifier, data: Data) -> float:
    model.eval()
    with ng.inference_mode():
        hits = model(data.test_images).argmax(dim=1) == data.test_labels
        return hits.sum().item() / len(data.test_labels)


def serve(path: Path, images: ng.Tensor) -> tuple[list[int], float]:
    """The digits that a new model with the saved weights reads, and the median seconds for one.

    The images come one at a time, as requests to a server do.
    """
    model = Classifier()
    model.load_state_dict(ng.load(path))
    model.eval()
    digits, seconds = [], []
    with ng.inference_mode():
        for image in images:
            start = time.perf_counter()
            digits.append(int(model(image.unsqueeze(0)).argmax(dim=1).item()))
            seconds.append(time.perf_counter() - start)
    return digits, statistics.median(seconds)


def show_progress(console: Console, epochs: Iterator[Epoch], total: int) -> list[Epoch]:
    """A live bar on a terminal, and a line now and then elsewhere."""
    done = []
    if not console.is_terminal:
        for epoch in epochs:
            done.append(epoch)
            if epoch.number == 1 or epoch.number % 5 == 0 or epoch.number == total:
                console.print(f"epoch {epoch.number:3d}/{total}  {epoch}", highlight=False)
        return done
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=total)
        for epoch in epochs:
            done.append(epoch)
            progress.update(task, advance=1, description=str(epoch))
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/digits.safetensors"))
    options = parser.parse_args()
    if options.epochs < 1 or options.batch < 1:
        parser.error("--epochs and --batch must be at least 1")

    console = Console()
    ng.manual_seed(options.seed)
    data = load_data(options.seed)
    model = Classifier()
    console.print(
        f"{len(data.train_labels)} images to learn from, {len(data.test_labels)} to be tested on; "
        f"{sum(p.numel() for p in model.parameters()):,} parameters",
        highlight=False,
    )

    start = time.perf_counter()
    epochs = show_progress(
        console,
        train(model, data, options.epochs, options.batch, options.rate, options.seed),
        options.epochs,
    )
    seconds = time.perf_counter() - start

    options.out.parent.mkdir(parents=True, exist_ok=True)
    ng.save(model.state_dict(), options.out)
    digits, latency = serve(options.out, data.test_images)
    served = float(np.mean(np.array(digits) == data.test_labels.numpy()))

    table = Table(title="What happened", show_header=False)
    table.add_row("training", f"{len(epochs)} epochs in {seconds:.1f} s")
    speed = statistics.median(epoch.samples_per_second for epoch in epochs)
    table.add_row("speed", f"{speed:,.0f} samples/s (median epoch)")
    table.add_row("loss", f"{epochs[0].loss:.4f} → {epochs[-1].loss:.4f}")
    table.add_row("test accuracy", f"{epochs[-1].accuracy:.2%}")
    table.add_row("weights", f"{options.out} ({options.out.stat().st_size:,} bytes)")
    table.add_row("served from the file", f"{len(digits)} images, {served:.2%} right")
    table.add_row("time for one image", f"{latency * 1e6:,.0f} µs (median)")
    console.print(table)

    if served < PROMISED_ACCURACY:
        console.print(f"The accuracy is below the promised {PROMISED_ACCURACY:.0%}.", style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
