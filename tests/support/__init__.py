"""What tests share: a checkout, servers to ask, rows to load, and what must hold."""
