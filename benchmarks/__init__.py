"""One question a file; run as ``python -m benchmarks.NAME``; never collected by pytest."""
