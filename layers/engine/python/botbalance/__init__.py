"""BotBalance: keeps a crypto portfolio at its target shares with limit orders."""

__version__ = "0.2.0"
"""Of the package, the OpenAPI document and the layers. CONTRIBUTING.md says when it goes up."""
