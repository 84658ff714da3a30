"""Turns recorded facts into answers: pure folds, and one projector that feeds them."""

__all__: tuple[str, ...] = ()
