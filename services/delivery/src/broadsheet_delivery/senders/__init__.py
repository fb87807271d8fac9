"""The delivery replicas, the sending state, and the routes about them."""
