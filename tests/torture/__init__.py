"""Faults at random against a real server, real files and real readers: ``python -m tests.torture``."""
