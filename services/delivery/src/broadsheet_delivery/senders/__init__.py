"""The delivery replicas and the routes about them."""
