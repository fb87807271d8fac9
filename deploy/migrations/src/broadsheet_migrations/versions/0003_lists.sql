-- TODO lists
SELECT 1;
