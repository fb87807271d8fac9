"""What a sign-up form says of what its mails report back, pure: whoever subscribes knows it before they do."""


def tracking_notice(*, opens: bool, links: bool) -> str:
    """A sentence; empty if nothing is reported."""
    if opens and links:
        return "Its mails tell the sender whether you open them and which links you follow."
    if opens:
        return "Its mails tell the sender whether you open them."
    if links:
        return "Its mails tell the sender which links you follow."
    return ""
