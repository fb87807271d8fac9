"""Signing in by an OpenID Connect provider: somebody else keeps the passwords, and says who comes and in which groups.

A user of ours belongs to an account there by issuer and subject alone, never by an address: whoever could choose an
address at the provider would else choose whom they are here.
"""
