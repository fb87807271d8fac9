"""Events of messages and the webhooks that report them."""
