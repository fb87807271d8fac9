"""The public pages of sent issues: lists, articles, feeds and the site map."""
