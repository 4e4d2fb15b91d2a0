"""Measuring engines: time of each frame, cold caches, heap calls. ``rtvoice-bench`` is its command."""
