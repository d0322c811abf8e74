"""THE USE CASES: engine → place → save, and nothing else. No price, size or weight is computed here."""
