"""`chaos`: every row of the fault table as a seeded scenario over real processes, judged by the sandbox's log."""
