"""Tests: a module here for each module of the packages, and the rules of the tree."""
