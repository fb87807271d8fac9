"""From a draft to a mailing: who gets it, test mails, approval, when."""
