"""Outgoing webhooks: telling other systems who came, who left and whose mail did not arrive."""
