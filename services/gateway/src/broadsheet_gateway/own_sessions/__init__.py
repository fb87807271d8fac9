"""What users see of their own sessions, how sessions are ended, and how somebody proves again who they are."""
