"""Other projects' clients of Binance, driven through the simulated exchange: `make test-peers`."""
