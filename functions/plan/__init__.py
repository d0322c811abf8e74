"""GET plan, balances, portfolio summary."""
