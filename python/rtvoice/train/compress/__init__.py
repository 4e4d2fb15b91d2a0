"""Smaller students: hidden units cut out (`prune`), weights rounded (`rounding`), each with its measured loss."""
