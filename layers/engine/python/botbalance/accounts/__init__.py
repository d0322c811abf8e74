"""Users' exchange clients, their rate limits, and the portfolio that an account holds."""
