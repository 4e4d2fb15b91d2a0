"""Tests of ``rtvoice live``: without a device, and end to end on a sound server without a card."""
