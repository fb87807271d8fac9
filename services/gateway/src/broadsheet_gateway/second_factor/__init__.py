"""The second factor: codes of an authenticator (TOTP, RFC 6238), recovery codes, and who must have one."""
