"""Stream servers to compare, and the load that is put on them. Not benchmarks themselves."""
