"""`/admin/users`: the pages on which owners look after users and invitations."""
