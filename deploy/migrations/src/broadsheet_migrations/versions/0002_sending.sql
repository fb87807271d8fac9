-- Limits that all replicas obey, and the check of an issue before it starts.
SELECT 1;
