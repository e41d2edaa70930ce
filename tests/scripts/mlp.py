"""An MLP on images of digits, as many tutorials have it.

Minibatches, gradient accumulation, clipping, hooks, checkpointing, a schedule of the learning rate,
a saved and resumed checkpoint, evaluation.
"""

import math
import os
import random
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, Subset

GLYPHS = [
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
]


class Digits(Dataset):
    """5 x 3 glyphs in images of 8 x 8, at random places, with noise."""

    def __init__(self, count, seed):
        rng = random.Random(seed)
        self.samples = []
        for i in range(count):
            label = i % 10
            pixels = [[rng.gauss(0.0, 0.15) for _ in range(8)] for _ in range(8)]
            top, left = rng.randrange(1, 3), rng.randrange(2, 4)
            for k, bit in enumerate(GLYPHS[label]):
                pixels[top + k // 3][left + k % 3] += float(bit)
            self.samples.append((torch.tensor(pixels), label))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Net(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.flatten = nn.Flatten()
        self.first = nn.Linear(64, width)
        self.norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 10)

    def block(self, x):
        return F.relu(self.second(F.gelu(self.norm(x))))

    def forward(self, x):
        x = self.first(self.flatten(x))
        x = x + checkpoint(self.block, x, use_reentrant=False)
        return self.last(x)


@torch.no_grad()
def initialise(model, seed):
    """The same weights in any library."""
    rng = random.Random(seed)
    for name, p in model.named_parameters():
        if p.dim() > 1:
            bound = math.sqrt(3.0 / p.shape[1])
            values = [rng.uniform(-bound, bound) for _ in range(p.numel())]
            p.copy_(torch.tensor(values).view_as(p))
        elif "norm" not in name:
            nn.init.zeros_(p)


def train(model, loader, optimizer, scheduler, log, accumulate=2):
    model.train()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer.zero_grad(set_to_none=True)
    running = 0.0
    for step, (images, labels) in enumerate(loader):
        loss = criterion(model(images), labels) / accumulate
        loss.backward()
        running += loss.item()
        if (step + 1) % accumulate == 0:
            norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            log["norms"].append(norm.item())
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
    return running / len(loader)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    correct = total = 0
    for images, labels in loader:
        predicted = model(images).argmax(dim=1)
        correct += (predicted == labels).sum().item()
        total += labels.size(0)
    return correct / total


def main():
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = Digits(400, seed=1)
    order = list(range(400))
    random.Random(2).shuffle(order)
    train_loader = DataLoader(Subset(data, order[:320]), batch_size=8, drop_last=True)
    test_loader = DataLoader(Subset(data, order[320:]), batch_size=40)
    model = Net().to(device)
    initialise(model, seed=3)
    log = {"norms": [], "activation": [], "gradient": []}
    handles = [
        model.second.register_forward_hook(
            lambda module, args, output: log["activation"].append(output.detach().mean().item())
        ),
        model.last.weight.register_hook(
            lambda g: log["gradient"].append(g.abs().max().item()) or g * 1.0
        ),
    ]
    decay = [p for n, p in model.named_parameters() if n.endswith("weight")]
    rest = [p for n, p in model.named_parameters() if not n.endswith("weight")]
    groups = [{"params": decay, "weight_decay": 1e-2}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-3, betas=(0.9, 0.99))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=160)
    losses = [train(model, train_loader, optimizer, scheduler, log) for _ in range(4)]
    for handle in handles:
        handle.remove()
    calls = len(log["activation"])

    # Save everything, make it anew, load it, and go on.
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "checkpoint.pt")
        torch.save(
            {
                "epoch": 4,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
            },
            path,
        )
        state = torch.load(path, map_location=device, weights_only=True)
    model = Net()
    print(model.load_state_dict(state["model"]))
    groups = [dict(group) for group in groups]
    for group in groups:
        names = [n for n, _ in model.named_parameters()]
        keep = [n for n in names if n.endswith("weight") == (group["weight_decay"] > 0)]
        group["params"] = [p for n, p in model.named_parameters() if n in keep]
    optimizer = torch.optim.AdamW(groups, lr=6e-3, betas=(0.9, 0.99))
    optimizer.load_state_dict(state["optimizer"])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=160)
    scheduler.load_state_dict(state["scheduler"])
    losses += [train(model, train_loader, optimizer, scheduler, log) for _ in range(4)]
    accuracy = evaluate(model, test_loader)
    print(f"loss {losses[-1]:.4f}, accuracy {accuracy:.1%}")
    return {
        "losses": losses,
        "accuracy": accuracy,
        "norms": log["norms"][::10],
        "gradients": log["gradient"][:5],
        "calls": calls,
        "lr": scheduler.get_last_lr(),
    }


if __name__ == "__main__":
    main()
