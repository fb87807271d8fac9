"""Who may do what: roles, the rights that they give, and the operations that need them."""
