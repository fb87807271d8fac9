"""Tools that cause faults: a proxy that answers for the provider, links that can be cut or slowed, a small disk."""
