"""The part of `/api/v1` that the gateway answers itself: users and API keys."""
