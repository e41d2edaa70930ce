"""A character model with attention: embeddings, masks, tied weights, warm-up, generation."""

import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT = (
    "the quick brown fox jumps over the lazy dog and the dog sleeps while the fox runs away. " * 4
)
CHARS = sorted(set(TEXT))
ENCODE = {c: i for i, c in enumerate(CHARS)}


class Attention(nn.Module):
    def __init__(self, width, heads, block):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(block, block)).view(1, 1, block, block))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.qkv(x).split(c, dim=2)
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
        scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        weights = F.softmax(scores, dim=-1)
        y = (weights @ v).transpose(1, 2).contiguous().view(b, t, c)
        return self.out(y)


class Block(nn.Module):
    def __init__(self, width, heads, block):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, block)
        self.mlp = nn.ModuleDict(
            {
                "up": nn.Linear(width, 2 * width),
                "act": nn.GELU(),
                "down": nn.Linear(2 * width, width),
            }
        )

    def forward(self, x):
        x = x + self.attention(self.ln1(x))
        m = self.mlp
        return x + m["down"](m["act"](m["up"](self.ln2(x))))


class Model(nn.Module):
    def __init__(self, width=16, heads=2, block=24, layers=2):
        super().__init__()
        self.block_size = block
        self.tokens = nn.Embedding(len(CHARS), width)
        self.positions = nn.Parameter(torch.zeros(1, block, width))
        self.blocks = nn.ModuleList([Block(width, heads, block) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(CHARS), bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self._init)

    def _init(self, module):
        rng = random.Random(sum(p.numel() for p in module.parameters()))
        if isinstance(module, (nn.Linear, nn.Embedding)):
            w = module.weight
            values = torch.tensor([rng.gauss(0, 0.1) for _ in range(w.numel())])
            w.data = values.view(w.shape)
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()

    def forward(self, index, targets=None):
        _, t = index.shape
        x = self.tokens(index) + self.positions[:, :t]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss

    @torch.no_grad()
    def generate(self, index, count):
        for _ in range(count):
            logits, _ = self(index[:, -self.block_size :])
            chosen = torch.argmax(logits[:, -1, :], dim=-1, keepdim=True)
            index = torch.cat((index, chosen), dim=1)
        return index


def main():
    data = torch.tensor([ENCODE[c] for c in TEXT], dtype=torch.long)
    rng = random.Random(7)
    model = Model()
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    decay = [p for p in parameters.values() if p.dim() >= 2]
    rest = [p for p in parameters.values() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=5e-3, betas=(0.9, 0.95), eps=1e-8,
    )  # fmt: skip
    warmup = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(step / 60 * math.pi)),
    )
    losses = []
    for _ in range(30):
        starts = [rng.randrange(len(TEXT) - model.block_size - 1) for _ in range(8)]
        x = torch.stack([data[i : i + model.block_size] for i in starts])
        y = torch.stack([data[i + 1 : i + 1 + model.block_size] for i in starts])
        y[:, 0] = -1  # not a target
        _, loss = model(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warmup.step()
        losses.append(loss.item())
    model.eval()
    text = model.generate(data[:4].unsqueeze(0), 12)[0].tolist()
    assert losses[-1] < losses[0] - 0.5
    return {
        "losses": losses[::5],
        "parameters": sum(p.numel() for p in model.parameters()),
        "text": "".join(CHARS[i] for i in text),
        "names": list(model.state_dict())[:6],
        "embedding": model.tokens.weight.detach().norm().item(),
    }


if __name__ == "__main__":
    print(main())
