"""The soak: many users, many ticks, faults at random, and an audit of what became of every order."""
