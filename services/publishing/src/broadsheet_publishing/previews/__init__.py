"""An issue as its readers will get it: on the page, and as a test mail."""
