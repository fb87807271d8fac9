"""What pages for readers need besides templates: their words, their newsletter's look, faults in words."""
