"""The figures that batchrun promises, measured: `python -m benchmarks [NAME …] [--quick]`."""
