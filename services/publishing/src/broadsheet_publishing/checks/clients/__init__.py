"""What mail programs drop of CSS and HTML, from derived data; pure."""
