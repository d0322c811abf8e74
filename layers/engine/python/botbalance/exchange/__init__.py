"""THE OUTSIDE WORLD: what exchanges say, in the engine's types, and what they were told.

Knows the engine's types and nothing of the database.
"""
