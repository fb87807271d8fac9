"""The schema of every service: one linear history, run as its own step and never at a service's start.

`python -m broadsheet_migrations upgrade|check|sql|current`. The owner of the database runs it (MIGRATION_DATABASE_URL);
services log in with roles that own nothing. The SQL stands in `versions/*.sql` beside a thin Alembic revision each.
"""
