"""What the rooms hand each other, free of any database and any exchange."""
