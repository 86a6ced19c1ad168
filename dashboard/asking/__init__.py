"""What the explorer consists of. It needs the project's package, which checks charts and writes their SQL."""
