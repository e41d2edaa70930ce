"""One file per theme; each declares its `WORKLOADS`."""
