"""Compares what was done with what should have been done."""
