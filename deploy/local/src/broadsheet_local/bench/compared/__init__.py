"""The senders that ours is compared with."""
