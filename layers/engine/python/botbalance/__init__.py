"""BotBalance: keeps a crypto portfolio at its target shares with limit orders."""
