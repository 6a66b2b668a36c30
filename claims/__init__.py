"""Executable statements: what is said, whether it is right, the number measured beside the number due."""
