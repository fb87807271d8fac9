"""What every request and answer of the gateway passes: addresses, bodies, cookies, CSRF, headers, errors."""
