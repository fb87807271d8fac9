"""The links of previews and test mails: publishing writes them, and the gateway says that they act for nobody."""

PREVIEW_TOKEN = "test"  # noqa: S105  # a word in the place of a token: no signed one can be it
