"""Calls to URLs that people enter: where they may go, and connections that go nowhere else.

Needs the extra `outgoing` of this package (aiohttp, yarl): only services that make such calls install it.
"""
