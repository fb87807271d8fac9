"""Passkeys (WebAuthn): registering and removing them, signing in with one, a fresh proof by one."""
