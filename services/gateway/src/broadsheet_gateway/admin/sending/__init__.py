"""All sending: who sends, what holds it up, and how an operator stops or limits it."""
