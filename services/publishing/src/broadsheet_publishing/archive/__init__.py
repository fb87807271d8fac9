"""What readers find of sent issues on the web."""
