-- TODO leaving
SELECT 1;
