"""The layers, activations and losses."""
