"""Writing an issue: the draft, its preview, its checks and its revisions."""
