-- What operators may decide, the timeline of a delivery, and how long rows are kept.
SELECT 1;
