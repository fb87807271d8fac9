"""Sending events to endpoints: the queue, the call, retries."""
