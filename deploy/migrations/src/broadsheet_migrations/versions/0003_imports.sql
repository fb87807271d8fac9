-- TODO imports
SELECT 1;
