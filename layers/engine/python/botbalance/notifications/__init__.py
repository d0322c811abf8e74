"""Notifications: from what was written of an account to messages that reach its owner, each once or named as failed.

``rules`` and ``schedule`` are pure; ``collect``, ``due`` and ``deliver`` are what the three functions do.
"""
