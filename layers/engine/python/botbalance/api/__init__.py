"""What the HTTP functions share: the resolver, who is calling, problem+json, and the shapes of answers."""
