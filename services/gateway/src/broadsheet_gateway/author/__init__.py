"""Pages of authors under `/admin`."""
