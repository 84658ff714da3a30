"""Ways in from where jobs already report: tqdm, logging, futures, pytest. Each stands alone."""

__all__: tuple[str, ...] = ()
