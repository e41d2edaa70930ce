"""Benchmarks against PyTorch and JAX (`python -m bench --help`); see bench/README.md."""
