"""A strategy tried on recorded candles: the same engine, candle by candle, and an honest account of what it did."""
