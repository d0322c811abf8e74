"""A Binance-compatible spot exchange on loopback: for tests, the local stack and soak runs. No real money, ever."""
