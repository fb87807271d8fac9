"""What pytest loads for every run: the fixtures, one event loop, and which tests stay together."""
