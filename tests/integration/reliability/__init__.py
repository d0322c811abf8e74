"""Tests of promises.toml: each breaks a promise on purpose and looks at the exchange's books and our tables."""
