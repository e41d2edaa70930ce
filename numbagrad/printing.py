"""How tensors print: as in PyTorch, four digits, summarised when large."""
