"""Recorded prices: read from files with whatever is wrong with them, and downloaded."""
