"""Apps of ours and their OpenAPI documents, without a process around them."""
