"""Prices, market rules and traded ranges, from one two-level cache."""
