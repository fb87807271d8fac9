"""Streams of server-sent events: how an issue is getting on, and what a dashboard shows.

One background loop asks the database once a second while somebody watches, and every open stream gets what it found.
"""
