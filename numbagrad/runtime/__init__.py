"""Native execution: compile kernels, cache their object code, run programs and threads."""
