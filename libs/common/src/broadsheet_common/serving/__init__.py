"""How a process serves its app over HTTP: connections and their limits, how answers go out, draining."""
