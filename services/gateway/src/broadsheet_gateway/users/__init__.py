"""Users as owners see and change them: roles, names, who may sign in."""
