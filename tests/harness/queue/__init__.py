"""The queue moved by a test: its time, a model of its world, and its first version."""
