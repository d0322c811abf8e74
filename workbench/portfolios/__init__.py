"""Portfolios and strategies that runs start with."""
