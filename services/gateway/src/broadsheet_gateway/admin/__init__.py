"""Pages for those who are signed in, below `/admin`: a folder for each part of them."""
