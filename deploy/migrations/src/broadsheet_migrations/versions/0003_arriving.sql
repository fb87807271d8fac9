-- TODO arriving
SELECT 1;
