"""DynamoDB, a module a table. Knows the engine's types and nothing of exchanges.

An item is its keys, the few attributes that conditions and indexes need, and one JSON document with
everything: that is read and written faster than attribute by attribute. Money in it is decimal strings.
"""
