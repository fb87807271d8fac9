"""The scenarios, a module a family; `catalogue` lists them."""
