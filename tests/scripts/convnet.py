"""A small convolutional network: batch norm, a custom Function, averaged weights, schedules."""

import copy
import math
import random

import torch
from torch import nn, optim
from torch.autograd import Function
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split


class Swish(Function):
    @staticmethod
    def forward(ctx, x):
        s = torch.sigmoid(x)
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, grad):
        x, s = ctx.saved_tensors
        return grad * (s + x * s * (1 - s))


class Residual(nn.Module):
    def __init__(self, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.skip = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = Swish.apply(self.bn1(self.conv1(x)))
        return Swish.apply(self.bn2(self.conv2(y)) + self.skip(x))


def build():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        Residual(6),
        nn.MaxPool2d(2),
        Residual(6, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def initialise(model):
    rng = random.Random(0)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            values = [rng.gauss(0, math.sqrt(2 / fan_in)) for _ in range(module.weight.numel())]
            with torch.no_grad():
                module.weight.copy_(torch.tensor(values).reshape(module.weight.shape))
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.0)


def stripes(count):
    """Images of horizontal, vertical and diagonal stripes."""
    rng = random.Random(5)
    images, labels = [], []
    for i in range(count):
        kind, phase, width = i % 3, rng.random() * 6, 1.0 + rng.random()
        step = [(0, 1), (1, 0), (0.7, 0.7)][kind]
        images.append(
            [
                [
                    math.sin((r * step[0] + c * step[1]) * width + phase) + rng.gauss(0, 0.4)
                    for c in range(8)
                ]
                for r in range(8)
            ]
        )
        labels.append(kind)
    return torch.tensor(images).unsqueeze(1), torch.tensor(labels)


class Average:
    """An exponential moving average of the weights."""

    def __init__(self, model, decay):
        self.model = copy.deepcopy(model).eval()
        for p in self.model.parameters():
            p.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for ours, theirs in zip(self.model.parameters(), model.parameters()):
            ours.mul_(self.decay).add_(theirs, alpha=1 - self.decay)
        for ours, theirs in zip(self.model.buffers(), model.buffers()):
            ours.copy_(theirs)


def main():
    images, labels = stripes(144)
    data = TensorDataset(images, labels)
    train, test = random_split(data, [120, 24])
    train.indices, test.indices = list(range(120)), list(range(120, 144))
    loader = DataLoader(train, batch_size=12, shuffle=False)
    model = build()
    initialise(model)
    average = Average(model, 0.9)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    warmup = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=5)
    decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    schedule = optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[5])
    counts = {}
    for name, p in model.named_parameters():
        p.register_post_accumulate_grad_hook(
            lambda p, name=name: counts.__setitem__(name, counts.get(name, 0) + 1)
        )
    history = []
    for _ in range(3):
        model.train()
        total = 0.0
        for x, y in loader:
            logits = model(x)
            loss = F.cross_entropy(logits, y) + 1e-3 * sum(
                w.pow(2).sum() for n, w in model.named_parameters() if "conv" in n
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            average.update(model)
            total += loss.detach().item() * x.shape[0]
        history.append(total / len(train))
    average.model.eval()
    x = torch.stack([test[i][0] for i in range(len(test))])
    y = torch.tensor([int(test[i][1]) for i in range(len(test))])
    with torch.inference_mode():
        probabilities = F.softmax(average.model(x), dim=-1)
        accuracy = (probabilities.argmax(-1) == y).float().mean().item()
    return {
        "history": history,
        "accuracy": accuracy,
        "probabilities": probabilities[:2].tolist(),
        "running": model[1].bn1.running_mean.tolist(),
        "batches": int(model[1].bn1.num_batches_tracked),
        "hooks": sorted(set(counts.values())),
        "lr": schedule.get_last_lr(),
    }


if __name__ == "__main__":
    print(main())
