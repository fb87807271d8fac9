-- TODO schedule
SELECT 1;
