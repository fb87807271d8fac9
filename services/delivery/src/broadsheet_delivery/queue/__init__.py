"""The queue: chunks and single mails, who is in them, and the leases that workers hold on them."""
